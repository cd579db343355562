"""A JupyterLab of its own on a loopback port, as a user's server would run it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nbformat
from tornado.httpclient import AsyncHTTPClient

from tests.e2e.rig import REPO, SOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: What JupyterLab would else ask of the internet, or show over the notebook; and cells that are
#: out of sight stay in the page, so that they can be read.
SETTINGS: dict[str, dict[str, Any]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@dataclass
class Lab:
    """A running server.

    Attributes:
        address: with scheme and port, without a slash at the end.
        token: lets in whoever knows it.
        folder: where its notebooks lie.
    """

    address: str
    token: str
    folder: Path

    def write(self, name: str, *cells: str, kernel: str = "relay") -> None:
        """Put a notebook of code cells there."""
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        made.metadata.kernelspec = {"name": kernel, "display_name": "", "language": "python"}
        nbformat.write(made, self.folder / name)

    async def sessions(self) -> list[dict[str, Any]]:
        """The notebooks that have a kernel."""
        return json.loads(await self._fetch("GET", "/api/sessions"))

    async def shut_down_kernels(self) -> None:
        """End every notebook's kernel, as "Shut Down All" does; returns when they have ended."""
        for session in await self.sessions():
            await self._fetch("DELETE", f"/api/sessions/{session['id']}")

    async def use_theme(self, name: str) -> None:
        """Show pages that are opened from now on in a theme, as the menu Settings would."""
        raw = json.dumps({"raw": json.dumps({"theme": name})})
        path = "/lab/api/settings/@jupyterlab/apputils-extension:themes"
        await self._fetch("PUT", path, raw)

    async def _fetch(self, method: str, path: str, body: str | None = None) -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        response = await AsyncHTTPClient().fetch(
            self.address + path, method=method, headers=headers, body=body, request_timeout=SOON
        )
        return response.body


@asynccontextmanager
async def jupyterlab(folder: Path, relay_home: Path) -> AsyncIterator[Lab]:
    """JupyterLab with all of its folders in ``folder``, and our kernelspec."""
    own = {
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
        "RELAY_HOME": relay_home,
    }
    shutil.copytree(REPO / "kernelspecs", folder / "data" / "kernels")
    # That of the checkout goes before an installed one.
    extension = REPO / "relay_kernel" / "labextension"
    shutil.copytree(extension, folder / "labextensions" / "relay-kernel")
    for name, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    work = folder / "work"
    work.mkdir()
    token = secrets.token_hex(16)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
        *(f"--IdentityProvider.token={token}", "--ServerApp.port=0"),
        f"--LabServerApp.extra_labextensions_path={folder / 'labextensions'}",
        *(
            "--JupyterNotebookApp.expose_app_in_browser=True",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ),
        cwd=work,
        env={**os.environ, **{name: str(path) for name, path in own.items()}},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        address = await _address_of(process.stderr)
        drained = asyncio.ensure_future(process.stderr.read())
        yield Lab(address, token, work)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), SOON)
    await drained


async def _address_of(said: asyncio.StreamReader) -> str:
    lines = []
    async with asyncio.timeout(60):
        async for line in said:
            lines.append(line.decode())
            found = [w for w in lines[-1].split() if w.startswith("http://127.0.0.1:")]
            if found:
                return found[0].split("/lab")[0]
    raise AssertionError("JupyterLab did not start:\n" + "".join(lines))
