"""Agents that go: for a newer version, with their machine, and what notebooks are told of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil
import pytest

from relay_kernel import __version__
from relay_kernel.wire.session import Parted
from tests.agent.logind import Bus, Logind
from tests.agent.process import AgentProcess, other_version
from tests.agent.rig import SOON
from tests.processes import ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places


@pytest.fixture
async def agent(places: Places, folder: Path) -> AsyncIterator[AgentProcess]:
    async with AgentProcess(places, folder) as agent:
        yield agent


@pytest.fixture
def logind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logind]:
    """A stand-in for logind on a real bus, where the agent looks for the system's."""
    with Bus(tmp_path) as bus, Logind(bus) as logind:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        yield logind


class TestVersions:
    @pytest.fixture
    def old(self, tmp_path: Path) -> dict[str, str]:
        return other_version(tmp_path, "0.0.1")

    async def test_one_that_nobody_needs_makes_way_at_once(
        self, agent: AgentProcess, old: dict[str, str]
    ) -> None:
        first = agent.owner("a", "0.0.1")
        assert await agent.opened(first, old) == "0.0.1"
        first.pump.part("closed")
        await first.pump.drain()
        await first.linked_until()
        why = await agent.refused(agent.owner("b"))
        assert why == f"the agent of version 0.0.1 makes way for {__version__}"
        assert await agent.opened(agent.owner("b")) == __version__

    async def test_one_in_use_says_when_it_will(
        self, agent: AgentProcess, old: dict[str, str]
    ) -> None:
        first = agent.owner("a", "0.0.1")
        assert await agent.opened(first, old) == "0.0.1"
        kernel = psutil.Process((await first.start()).head["pid"])
        why = await agent.refused(agent.owner("b"))
        assert why == (
            f"the agent is version 0.0.1 and the server {__version__}: "
            "it changes when its 1 notebooks of version 0.0.1 are closed"
        )
        assert kernel.is_running()
        assert first.pump.linked
        running = agent.process
        assert running is not None
        first.pump.part("closed")
        await first.pump.drain()
        await ended(running, within=SOON)
        assert await agent.opened(agent.owner("b")) == __version__


class TestGoodbye:
    @pytest.mark.alone
    async def test_a_shutdown_is_told_to_every_notebook(
        self, agent: AgentProcess, logind: Logind
    ) -> None:
        many = [agent.owner("a"), agent.owner("b")]
        for owner in many:
            await agent.opened(owner)
        kernel = psutil.Process((await many[0].start()).head["pid"])
        await asyncio.to_thread(logind.held)
        logind.announce("PrepareForShutdown", begins=True)
        for owner in many:
            event = await owner.sees(Parted)
            assert isinstance(event, Parted)
            assert event.fields["reason"] == "the machine is shutting down"
        assert await asyncio.to_thread(logind.released, within=4.0)
        assert await agent.refused(agent.owner("c")) == "the machine is shutting down"
        await ended(kernel, within=SOON)

    async def test_a_shutdown_that_is_called_off(self, agent: AgentProcess, logind: Logind) -> None:
        await agent.opened(agent.owner("a"))
        await asyncio.to_thread(logind.held)
        logind.announce("PrepareForShutdown", begins=True)
        assert await asyncio.to_thread(logind.released)
        logind.announce("PrepareForShutdown", begins=False)
        assert await asyncio.to_thread(logind.taken_anew, 2)
        assert await agent.opened(agent.owner("b")) == __version__

    @pytest.mark.alone
    async def test_a_sleep_is_told_and_the_lock_let_go_in_time(
        self, agent: AgentProcess, logind: Logind
    ) -> None:
        owner = agent.owner("a")
        await agent.opened(owner)
        await asyncio.to_thread(logind.held)
        logind.announce("PrepareForSleep", begins=True)
        event = await owner.sees(Parted)
        assert isinstance(event, Parted)
        assert event.fields["reason"] == "the machine is going to sleep"
        assert await asyncio.to_thread(logind.released, "sleep", within=4.0)
        logind.announce("PrepareForSleep", begins=False)
        assert await asyncio.to_thread(logind.taken_anew, 2, "sleep")
        assert await agent.opened(agent.owner("b")) == __version__

    async def test_sigterm_says_goodbye_too(self, agent: AgentProcess) -> None:
        owner = agent.owner("a")
        await agent.opened(owner)
        running = agent.process
        assert running is not None
        running.terminate()
        event = await owner.sees(Parted)
        assert isinstance(event, Parted)
        assert event.fields["reason"] == "the agent was stopped"
        await ended(running, within=SOON)
