"""A notebook on a PC that dials in: no sshd and no open port there, and all the rest as ever."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli.status import collect
from tests.agent.logind import Bus, Logind
from tests.e2e.rig import Notebook, configure
from tests.e2e.test_loss import LINES, SLOW
from tests.hub.joining import JoiningPc
from tests.hub.test_joined import let_in, server_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.sshd import Sshd

pytestmark = pytest.mark.sshd


@pytest.fixture
def gate(tmp_path: Path, server: Places) -> Iterator[Sshd]:
    """The server's own sshd."""
    with server_with(tmp_path, server) as sshd:
        yield sshd


@pytest.fixture
def dialler(tmp_path: Path, server: Places, gate: Sshd) -> Iterator[JoiningPc]:
    """A PC that may dial in and has not yet. Silence costs it nothing for a minute."""
    with JoiningPc(tmp_path / "pc") as dialler:
        let_in(server, tmp_path / "home", dialler.public_key)
        configure(server, lost_after=60.0, wait_at_submit=30.0, heartbeat=0.5)
        yield dialler


@pytest.fixture
async def notebook(dialler: JoiningPc, gate: Sshd, tmp_path: Path) -> AsyncIterator[Notebook]:
    """A notebook that runs on the PC already."""
    dialler.join(gate.address)
    async with Notebook(tmp_path) as notebook:
        await notebook.run_on("pc")
        yield notebook


async def test_it_runs_there_and_status_says_so(notebook: Notebook, server: Places) -> None:
    assert (await notebook.run("x = 6; x * 7")).value == "42"
    async with asyncio.timeout(20):
        while (target := collect(server)["targets"]["pc"])["phase"] != "ready":
            await asyncio.sleep(0.05)
    assert target["rtt_ms"] is not None


async def test_a_blip_loses_no_line_and_doubles_none(notebook: Notebook, gate: Sshd) -> None:
    cell = notebook.send(SLOW)
    await cell.shows("step 5")
    assert gate.kill_connections()
    result = await cell.end()
    assert (result.text(), result.target, result.notices) == (LINES, "pc", "")


async def test_a_pc_that_joins_later_is_used_at_once(
    dialler: JoiningPc, gate: Sshd, tmp_path: Path
) -> None:
    async with Notebook(tmp_path) as notebook:
        assert (await notebook.run("y = [1]")).target == "local"
        dialler.join(gate.address)
        assert (await notebook.run_on("pc", "y.append(2); y")).value == "[1, 2]"


async def test_relay_join_may_be_restarted(
    notebook: Notebook, dialler: JoiningPc, gate: Sshd
) -> None:
    """As systemd does after an upgrade: the agent stays, and with it the kernel."""
    cell = notebook.send(SLOW)
    await cell.shows("step 3")
    assert dialler.leave() == 0
    dialler.join(gate.address)
    result = await cell.end()
    assert (result.text(), result.target, result.notices) == (LINES, "pc", "")


async def test_a_pc_that_shuts_down_says_so(
    tmp_path: Path, dialler: JoiningPc, gate: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost at once, though ``lost_after`` is a minute; logind's stand-in is on a real bus."""
    with Bus(tmp_path) as bus, Logind(bus) as logind:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        dialler.join(gate.address)
        async with Notebook(tmp_path) as notebook:
            await notebook.run_on("pc")
            # relay join and the agent hold one each.
            assert await asyncio.to_thread(logind.taken_anew, 2)
            cell = notebook.send(SLOW)
            await cell.shows("step 3")
            began = time.monotonic()
            logind.announce("PrepareForShutdown", begins=True)
            await cell.shows("step 4")
            result = await cell.end()
            assert time.monotonic() - began < 15
            assert (result.text(), result.target) == (LINES, "local")
            assert "the machine is shutting down" in result.notices
            for index in range(2):
                assert await asyncio.to_thread(logind.released, "shutdown", index, within=4.0)
