"""The PC loses its power: no file is torn, the server's copies are unharmed, the PC's are healed.

In both forms: files that the PC had received, and files that a plain program had written there
without a thought of flushing, and that had reached the server. The dangerous time for the second
is from some seconds on, when the names have reached the disk and the contents have not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.files.power import PoweredPc
from tests.files.real import SOON, Real, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(300)]

SLOW = "RELAY_SLOW" in os.environ
#: Seconds from the moment when the other end has everything to the cut.
CUTS = [0.2, 8.0, *([random.uniform(5, 30) for _ in range(4)] if SLOW else [])]
#: In the end's process at the PC: what programs wrote is not flushed before it counts as safe.
NO_FLUSH = """
import sys
if "--files" in sys.orig_argv:
    from relay_kernel.files.driver import Driver
    async def flush(self, paths): pass
    Driver.flush = flush
"""
OLD = b"old" * 5000


class Scene:
    """A server, a PC, and what one of them wrote."""

    def __init__(self, real: Real, pc: PoweredPc) -> None:
        self.real, self.pc = real, pc
        self.before = {"over": OLD}
        self.after = {f"f{number}": os.urandom(15 << 10) for number in range(20)}
        self.after |= {"large": os.urandom(40 << 20), "over": os.urandom(20 << 10)}

    async def begin(self) -> None:
        """Both have the old version of one file."""
        (self.real.here / "over").write_bytes(OLD)
        await self.real.linked()
        await self.real.equal()

    async def written(self, source: Path, other: Path) -> None:
        """A plain program writes at one end; returns when the other has it all."""
        for name, data in self.after.items():
            (source / name).write_bytes(data)
        for name, data in self.after.items():
            await self.real.until(lambda n=name, d=data: _read(other / n) == d)

    async def cut(self, after: float) -> None:
        """The power goes, and comes back; nothing runs at the PC yet."""
        await asyncio.sleep(after)
        await asyncio.to_thread(self.pc.lose_power)
        self.pc.new_boot()
        await asyncio.to_thread(self.pc.power_on)

    def torn(self) -> dict[str, int]:
        """Names at the PC that stand for no version of theirs, and their sizes."""
        found = {name: _read(self.real.there / name) for name in self.after}
        return {
            name: len(data)
            for name, data in found.items()
            if data is not None and data not in {self.after[name], self.before.get(name)}
        }

    def lacking(self, root: Path) -> list[str]:
        """Names that do not stand for the newest version."""
        return [name for name, data in self.after.items() if _read(root / name) != data]

    async def pair(self) -> dict[str, Any]:
        """What the plane says of the two."""
        found: dict[str, Any] = (await self.real.ask("status"))["folders"]["work"]["targets"]["pc"]
        return found

    async def healed(self) -> None:
        """The PC is started, and both are equal again."""
        await asyncio.to_thread(self.pc.start)
        await self.real.linked()
        await self.real.equal()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Makes one; ``code`` is run at the start of each of the PC's interpreters."""
    with contextlib.ExitStack() as stack:

        def make(code: str = "") -> Scene:
            (tmp_path / "code").mkdir()
            (tmp_path / "code" / "sitecustomize.py").write_text(code)
            pc = PoweredPc(tmp_path / "pc", env={"PYTHONPATH": str(tmp_path / "code")})
            real, _ = stack.enter_context(served(tmp_path, pc))
            return Scene(real, pc)

        yield make


async def received(one: Scene, after: float) -> None:
    """The first form."""
    await one.begin()
    await one.written(one.real.here, one.real.there)
    await one.cut(after)
    assert one.torn() == {}
    await one.healed()
    assert one.lacking(one.real.here) == one.lacking(one.real.there) == []


async def written(one: Scene, after: float) -> None:
    """The second form."""
    await one.begin()
    await one.written(one.real.there, one.real.here)
    await one.cut(after)
    # The server had them, so the PC's disk has them.
    assert one.torn() == {}
    assert one.lacking(one.real.there) == []
    await one.healed()
    assert one.lacking(one.real.here) == one.lacking(one.real.there) == []


@pytest.mark.parametrize("after", CUTS)
async def test_files_that_the_pc_had_received(scene: Callable[..., Scene], after: float) -> None:
    await received(scene(), after)


@pytest.mark.parametrize("after", CUTS)
async def test_files_that_a_plain_program_had_written_at_the_pc(
    scene: Callable[..., Scene], after: float
) -> None:
    await written(scene(), after)


class TestPlanted:
    """The proof finds a loss where there is one: the source is not flushed."""

    async def test_it_is_found_and_what_is_empty_after_a_cut_is_taken_for_damage(
        self, scene: Callable[..., Scene]
    ) -> None:
        one = scene(NO_FLUSH)
        with pytest.raises(AssertionError):
            await written(one, 8.0)
        assert one.torn() == dict.fromkeys(one.after.keys() - {"over"}, 0)
        await one.healed()
        assert one.lacking(one.real.here) == one.lacking(one.real.there) == []

    async def test_names_that_are_gone_are_asked_about(self, scene: Callable[..., Scene]) -> None:
        one = scene(NO_FLUSH)
        with pytest.raises(AssertionError):
            await written(one, 0.2)
        await asyncio.to_thread(one.pc.start)
        await one.real.linked()
        async with asyncio.timeout(SOON):
            while not (await one.pair())["paused"]:
                await asyncio.sleep(0.05)
        assert "files are gone at pc" in (await one.pair())["paused"]
        assert one.lacking(one.real.here) == []
        await one.real.ask("resume", bring_back=True)
        await one.real.equal()
        assert one.lacking(one.real.there) == []

    @pytest.mark.skipif(not SLOW, reason="set RELAY_SLOW to run")
    async def test_without_the_next_net_the_servers_copies_are_emptied(
        self, scene: Callable[..., Scene]
    ) -> None:
        """As it is with others: nobody knows that there was a cut."""
        one = scene(NO_FLUSH)
        one.pc.new_boot = lambda: None  # type: ignore[method-assign]
        with pytest.raises(AssertionError):
            await written(one, 8.0)
        await one.healed()
        assert len(one.lacking(one.real.here)) == 21
