"""A PC that shuts down or sleeps says so in time, to a stand-in for logind on a real bus.

With the real one: tests/typed/test_boots.py."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from relay_kernel.agent import departure
from relay_kernel.agent.departure import Departure, watch_sleep
from tests.agent.logind import Bus, Logind, signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    with Bus(tmp_path) as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        yield bus


@pytest.fixture
def logind(bus: Bus) -> Iterator[Logind]:
    with Logind(bus) as logind:
        yield logind


class Machine:
    """What its departure was told of."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.takes = 0.0
        self.departure = Departure(self._leave, lambda: self.said.put_nowait("back"))

    async def _leave(self, reason: str) -> None:
        self.said.put_nowait(reason)
        await asyncio.sleep(self.takes)

    async def hears(self) -> str:
        return await asyncio.wait_for(self.said.get(), 10)


@pytest.fixture
async def machine(logind: Logind) -> AsyncIterator[Machine]:
    machine = Machine()
    machine.departure.start()
    await asyncio.to_thread(logind.held)
    yield machine
    machine.departure.stop()


async def test_delay_locks_are_held_from_the_start(machine: Machine, logind: Logind) -> None:
    """One for each: logind gives nobody both at once who is logged in over SSH."""
    asked = {(what, who, mode) for what, who, _, mode in logind.asked}
    assert asked == {(what, "relay-kernel", "delay") for what in ("shutdown", "sleep")}
    for what in ("shutdown", "sleep"):
        assert not logind.released(what, within=0.05)


@pytest.mark.alone
async def test_a_shutdown_is_said_and_then_let_through(machine: Machine, logind: Logind) -> None:
    begin = time.monotonic()
    logind.announce("PrepareForShutdown", begins=True)
    assert await machine.hears() == "the machine is shutting down"
    assert await asyncio.to_thread(logind.released)
    assert time.monotonic() - begin < 1


async def test_after_a_sleep_the_lock_is_taken_again(machine: Machine, logind: Logind) -> None:
    logind.announce("PrepareForSleep", begins=True)
    assert await machine.hears() == "the machine is going to sleep"
    assert await asyncio.to_thread(logind.released, "sleep")
    logind.announce("PrepareForSleep", begins=False)
    assert await machine.hears() == "back"
    assert await asyncio.to_thread(logind.taken_anew, 2, "sleep")
    logind.announce("PrepareForSleep", begins=True)
    assert await machine.hears() == "the machine is going to sleep"
    assert await asyncio.to_thread(logind.released, "sleep")


async def test_without_a_lock_it_is_heard_all_the_same(
    logind: Logind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without polkit nobody gets one but root; and where it comes, the locks are taken."""
    monkeypatch.setattr(departure, "RETRY", 0.05)
    logind.has_polkit = False
    machine = Machine()
    machine.departure.start()
    await asyncio.to_thread(logind.refused, 4)
    logind.announce("PrepareForShutdown", begins=True)
    assert await machine.hears() == "the machine is shutting down"
    logind.announce("PrepareForShutdown", begins=False)
    assert await machine.hears() == "back"
    logind.has_polkit = True
    await asyncio.to_thread(logind.held)
    machine.departure.stop()


@pytest.mark.alone
async def test_a_goodbye_that_hangs_does_not_hold_the_machine(
    machine: Machine, logind: Logind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departure, "BUDGET", 0.3)
    machine.takes = 60
    begin = time.monotonic()
    logind.announce("PrepareForShutdown", begins=True)
    assert await asyncio.to_thread(logind.released)
    assert 0.2 < time.monotonic() - begin < 3


async def test_only_logind_is_believed(machine: Machine, bus: Bus, logind: Logind) -> None:
    """Any user may send a signal over the system's bus."""
    from jeepney.io.blocking import open_dbus_connection

    with open_dbus_connection(bus.address) as stranger:
        number = int(stranger.unique_name.rpartition(".")[2])
        for other in range(number):
            signal(stranger, "PrepareForShutdown", begins=True, to=f":1.{other}")
        signal(stranger, "PrepareForShutdown", begins=True)
    logind.announce("PrepareForSleep", begins=True)
    assert await machine.hears() == "the machine is going to sleep"


async def test_no_bus_is_no_fuss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    machine = Machine()
    machine.departure.start()
    machine.departure.stop()
    assert machine.said.empty()


async def test_a_bus_without_logind_is_no_fuss(bus: Bus) -> None:
    machine = Machine()
    machine.departure.start()
    machine.departure.stop()
    assert machine.said.empty()


async def test_a_bus_that_comes_back_is_used_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departure, "RETRY", 0.05)
    machine = Machine()
    with Logind(bus) as logind:
        machine.departure.start()
        await asyncio.to_thread(logind.held)
        machine.departure._connection.sock.shutdown(2)
        assert await asyncio.to_thread(logind.taken_anew, 2)
    machine.departure.stop()


async def test_a_sleep_that_nobody_announced_is_noticed() -> None:
    woken = asyncio.Event()
    slept = iter([0.0, 0.1, 0.2, 3600.0])
    watching = asyncio.ensure_future(
        watch_sleep(woken.set, asleep=lambda: next(slept, 3600.0), look=0.01)
    )
    await asyncio.wait_for(woken.wait(), 10)
    watching.cancel()
