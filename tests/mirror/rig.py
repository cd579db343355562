"""A Jupyter of its own: an environment with relay-kernel in it, folders, and a server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient
from uv import find_uv_bin

from tests.e2e.rig import REPO, SOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: Seconds within which a change shows.
LISTED = 2.0

#: What would bring in something of whoever runs the tests.
_OTHERS = ("JUPYTER_PATH", "PYTHONPATH")

_MIRROR = REPO / "relay_kernel" / "mirror"


def make_environment(folder: Path, *more: Path) -> Path:
    """An environment that has the packages of that of the tests, and its own prefix; its Python.

    An editable relay-kernel is not among these packages.

    Args:
        folder: where to.
        more: folders with other modules.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    lines = [sysconfig.get_path("purelib"), *map(str, more)]
    (site_of(folder) / "of_the_tests.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin" / "python"


def site_of(prefix: Path) -> Path:
    """Where the packages of an environment lie."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(prefix)}))


@dataclass
class Jupyter:
    """Somebody's Jupyter, in an environment of its own. Nothing of it lies outside of ``home``."""

    home: Path
    wheel: Path | None = None
    """A wheel of relay-kernel to install; without one, it is that of the checkout."""

    def __post_init__(self) -> None:
        self._prefix: tuple[str, ...] = ()
        if self.wheel:
            self.python = make_environment(self.home / "env")
            install = ["pip", "install", "--quiet", "--no-deps", "--python", str(self.python)]
            subprocess.run([find_uv_bin(), *install, str(self.wheel)], check=True)
        else:
            self.python = make_environment(self.home / "env", REPO)
            self._install_data()
        own = {
            "HOME": "",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
            "RELAY_HOME": "relay",
        }
        self.env: dict[str, str] = {
            **{name: value for name, value in os.environ.items() if name not in _OTHERS},
            **{name: str(self.home / folder) for name, folder in own.items()},
            "JUPYTERLAB_DIR": str(Path(sys.prefix) / "share" / "jupyter" / "lab"),
        }

        self._prefix: tuple[str, ...] = ()

    def _install_data(self) -> None:
        """What the wheel has beside the package."""
        config = self.prefix / "etc" / "jupyter" / "jupyter_server_config.d"
        config.mkdir(parents=True)
        shutil.copy(_MIRROR / "server_config.json", config / "relay_kernel.json")
        extensions = self.prefix / "share" / "jupyter" / "labextensions"
        shutil.copytree(REPO / "relay_kernel" / "labextension", extensions / "relay-kernel")

    def restrict(self) -> None:
        """From now on its processes may write only where modes allow it, root's too."""
        if os.geteuid() == 0:
            self._prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")

    @property
    def prefix(self) -> Path:
        return self.python.parents[1]

    @property
    def site(self) -> Path:
        """Where the environment's own packages lie."""
        return site_of(self.prefix)

    @property
    def kernels(self) -> Path:
        """The kernels folder of the environment."""
        return self.prefix / "share" / "jupyter" / "kernels"

    @property
    def user_kernels(self) -> Path:
        """The kernels folder of the user."""
        return Path(self.env["JUPYTER_DATA_DIR"]) / "kernels"

    def run(self, *command: str, check: bool = True, **options: Any) -> str:
        """Run ``python -m …`` to its end; return what it printed, of both kinds."""
        done = subprocess.run(
            [*self._prefix, str(self.python), "-m", *command],
            env=self.env,
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
            **options,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def mirror(self, *options: str) -> str:
        """``relay kernelspecs``."""
        return self.run("relay_kernel.cli", "kernelspecs", *options)

    def install_kernel(self, name: str, *arguments: str, python: Path | None = None) -> None:
        """``python -m ipykernel install --user``."""
        command = [str(python or self.python), "-m", "ipykernel", "install", "--user"]
        options = ["--name", name, *arguments]
        subprocess.run([*command, *options], env=self.env, check=True, capture_output=True)

    def write_spec(self, name: str, folder: Path | None = None, **changes: Any) -> Path:
        """Write a kernelspec of ipykernel, with changes; return its folder."""
        spec = {
            "argv": [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name.title(),
            "language": "python",
            **changes,
        }
        path = (folder or self.user_kernels) / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "kernel.json").write_text(json.dumps(spec))
        return path

    def listed(self) -> dict[str, Any]:
        """Name -> kernelspec, as a client finds them that reads the disk."""
        found = json.loads(self.run("jupyter_client.kernelspecapp", "list", "--json"))
        return found["kernelspecs"]

    @asynccontextmanager
    async def server(self, *options: str, app: str = "jupyter_server") -> AsyncIterator[Server]:
        """Its Jupyter Server, alone or below another application."""
        token = secrets.token_hex(8)
        process = await asyncio.create_subprocess_exec(
            *(*self._prefix, str(self.python), "-m", app),
            *("--no-browser", "--allow-root"),
            *(f"--IdentityProvider.token={token}", "--ServerApp.port=0", *options),
            cwd=self.home,
            env=self.env,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        server = Server(process, token)
        try:
            await server.is_ready()
            yield server
        except BaseException:
            print(server.log)
            raise
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), SOON)
            await server.reads


class Server:
    """A server that runs."""

    def __init__(self, process: asyncio.subprocess.Process, token: str) -> None:
        self._process = process
        self._token = token
        self._address = ""
        self._news = asyncio.Condition()
        self.log = ""
        self.reads = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._process.stderr
        async for line in self._process.stderr:
            async with self._news:
                self.log += line.decode()
                self._news.notify_all()

    async def says(self, text: str, within: float = SOON) -> None:
        """Wait until its log has ``text``."""
        try:
            async with asyncio.timeout(within), self._news:
                while text not in self.log:
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"never said {text!r}:\n{self.log}") from None

    async def is_ready(self) -> None:
        """Wait until it can be asked."""
        await self.says("?token=...\n", within=60)
        await self.says("Use Control-C", within=60)
        found = re.findall(r"http://127\.0\.0\.1:\d+(?=/(?:lab)?\?token)", self.log)
        self._address = found[-1]
        # It says so a moment before it listens.
        async with asyncio.timeout(SOON):
            while True:
                try:
                    return await self._answers()
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)

    async def _answers(self) -> None:
        await AsyncHTTPClient().fetch(f"{self._address}/api", request_timeout=SOON)

    def address(self, path: str) -> str:
        """Of a page, for a browser."""
        return f"{self._address}{path}?token={self._token}"

    async def get(self, path: str) -> bytes:
        """What it answers."""
        headers = {"Authorization": f"token {self._token}"}
        url = self._address + path
        response = await AsyncHTTPClient().fetch(url, headers=headers, request_timeout=SOON)
        return response.body

    async def kernelspecs(self) -> dict[str, Any]:
        """What it lists."""
        return json.loads(await self.get("/api/kernelspecs"))["kernelspecs"]

    async def start_kernel(self, name: str) -> str:
        """Start one; return its id."""
        url, headers = f"{self._address}/api/kernels", {"Authorization": f"token {self._token}"}
        body = json.dumps({"name": name})
        response = await AsyncHTTPClient().fetch(
            url, method="POST", headers=headers, body=body, request_timeout=SOON
        )
        return str(json.loads(response.body)["id"])

    async def lists(self, wanted: Callable[[dict[str, Any]], bool]) -> float:
        """Wait until it lists what is wanted; seconds that it took, which are few."""
        began = time.monotonic()
        while not wanted(found := await self.kernelspecs()):
            assert time.monotonic() - began < LISTED, sorted(found)
            await asyncio.sleep(0.02)
        return time.monotonic() - began
