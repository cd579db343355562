"""A PC behind a reverse tunnel, as the guide has it kept up: cells run there, and it may break."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import sys
from typing import TYPE_CHECKING, Self

import pytest

from tests.cli.test_add import relay
from tests.e2e.rig import REPO, SOON, Notebook, configure, processes_of
from tests.e2e.test_loss import LINES, SLOW
from tests.ports import free_port
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

pytestmark = pytest.mark.sshd

GUIDE = REPO / "docs" / "howto" / "reverse-tunnel.md"

#: What stands in the guide for the PC's sshd and for the server.
FORWARD, SERVER = "127.0.0.1:2222:localhost:22", "me@srv.example.org"


class Tunnel:
    """What the guide's unit starts, and starts again whenever it ends, as systemd would."""

    def __init__(self, pc: Sshd, server: Sshd) -> None:
        self.port = free_port("127.0.0.1")
        (line,) = re.findall(r"^ExecStart=(.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
        ssh, *guided = shlex.split(line)
        places = {
            FORWARD: f"127.0.0.1:{self.port}:{pc.host}:{pc.port}",
            SERVER: f"{server.user}@{server.host}",
        }
        assert places.keys() <= set(guided)
        self._command = [
            *(ssh, "-v", "-F", "none", "-i", str(server.identity), "-p", str(server.port)),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *(places.get(word, word) for word in guided),
        ]
        self._opened = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._life = asyncio.ensure_future(self._live())
        await asyncio.wait_for(self._opened.wait(), SOON)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)
        await self._end()

    async def breaks(self) -> None:
        """Kill it; returns when it is there again."""
        self._opened.clear()
        await self._end()
        await asyncio.wait_for(self._opened.wait(), SOON)

    async def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _live(self) -> None:
        while True:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            assert self._process.stderr
            async for said in self._process.stderr:
                if b"remote forward success" in said:
                    self._opened.set()
            await self._process.wait()


@pytest.fixture
def home_pc(pc: Sshd) -> Iterator[Sshd]:
    """The PC, whose agent and kernels end with the test."""
    yield pc
    for process in processes_of(pc.relay_home):
        process.kill()


@pytest.fixture
async def tunnel(home_pc: Sshd, server: Places, tmp_path: Path) -> AsyncIterator[Tunnel]:
    """A tunnel that stands, from the PC to the server's own sshd."""
    with Sshd(tmp_path / "gate") as gate:
        async with Tunnel(home_pc, gate) as tunnel:
            yield tunnel
        # They would notice within a minute.
        for process in processes_of(gate.relay_home):
            process.kill()


async def test_a_notebook_through_a_tunnel_that_breaks(
    tunnel: Tunnel, home_pc: Sshd, server: Places, tmp_path: Path
) -> None:
    configure(server, lost_after=60.0, wait_at_submit=30.0, heartbeat=0.5)
    address = f"{home_pc.user}@localhost:{tunnel.port}"
    options = ("--identity", home_pc.identity, "--python", sys.executable, "--yes")
    said = await asyncio.to_thread(relay, "add", "pc", "--ssh", address, *options)
    assert (said.status, said.errors) == (0, "")
    assert home_pc.host_key.fingerprint in said.output
    async with Notebook(tmp_path) as notebook:
        assert (await notebook.run_on("pc", "6 * 7")).value == "42"
        cell = notebook.send(SLOW)
        await cell.shows("step 3")
        await tunnel.breaks()
        result = await cell.end()
        assert (result.text(), result.target, result.notices) == (LINES, "pc", "")
