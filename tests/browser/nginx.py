"""A real nginx in front of JupyterLab, with the very settings of the guide."""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import shutil
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.browser.lab import jupyterlab
from tests.e2e.rig import REPO, SOON
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.browser.lab import Lab

GUIDE = REPO / "docs" / "howto" / "nginx.md"

#: Browsers know that every name below ``localhost`` is this machine; Jupyter does not.
NAME = "jupyter.localhost"

#: What a test cannot leave to the system's own ``nginx.conf``.
_AROUND = """\
{user}
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/jupyter.conf;
}}
"""


def find_nginx() -> str:
    """The binary; without one the test is skipped, in CI it fails."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("nginx is missing: install nginx-light")
        pytest.skip("needs nginx (nginx-light)")
    return found


def block(language: str) -> str:
    """The guide's one block in a language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    (found,) = fence.findall(GUIDE.read_text(encoding="utf-8"))
    return found


def fitted(text: str, places: dict[str, str]) -> str:
    """``text`` with each of these replaced, all of which must be there."""
    for shown, real in places.items():
        assert shown in text, f"the guide has no {shown}"
        text = text.replace(shown, real)
    return text


@asynccontextmanager
async def lab_behind_nginx(folder: Path, relay_home: Path) -> AsyncIterator[Lab]:
    """JupyterLab with the guide's settings; its address is that of nginx."""
    binary = find_nginx()
    config = folder / "lab" / "config" / "jupyter_server_config.py"
    config.parent.mkdir(parents=True)
    config.write_text(fitted(block("python"), {"jupyter.example.org": NAME}))
    async with jupyterlab(folder / "lab", relay_home) as lab:
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)(/.+)", lab.address)
        assert found, f"{lab.address} has no base_url"
        async with _nginx(binary, folder / "nginx", upstream=found[1]) as port:
            yield replace(lab, address=f"https://{NAME}:{port}{found[2]}")
            await lab.shut_down_kernels()


@asynccontextmanager
async def _nginx(binary: str, folder: Path, *, upstream: str) -> AsyncIterator[int]:
    """The guide's nginx, before a server on this machine; gives its port."""
    folder.mkdir()
    port = free_port("127.0.0.1")
    certificate, key = _certificate(folder)
    places = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/letsencrypt/live/jupyter.example.org/fullchain.pem": str(certificate),
        "/etc/letsencrypt/live/jupyter.example.org/privkey.pem": str(key),
        "jupyter.example.org": NAME,
        "http://127.0.0.1:8888": upstream,
    }
    (folder / "jupyter.conf").write_text(fitted(block("nginx"), places))
    # Its workers would else be somebody who may not enter the folder.
    user = "user root;" if os.getuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_AROUND.format(folder=folder, user=user))
    command = (binary, "-p", str(folder), "-c", str(config))
    # As the guide has it: sudo nginx -t.
    asked = await asyncio.create_subprocess_exec(*command, "-t", stderr=asyncio.subprocess.PIPE)
    _, verdict = await asyncio.wait_for(asked.communicate(), SOON)
    assert asked.returncode == 0, verdict.decode()
    process = await asyncio.create_subprocess_exec(
        *command,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    said = asyncio.ensure_future(process.stderr.read())
    try:
        await _accepts(port, process)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), SOON)
        # Shown where a test fails.
        print((await said).decode(), file=sys.stderr)


async def _accepts(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(SOON):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
    raise AssertionError("nginx did not start")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "fullchain.pem", folder / "privkey.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
