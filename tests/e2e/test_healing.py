"""Chunks that go bad on a disk: no variable is lost as long as any kernel holds its value."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.e2e.rig import SOON, _kill, processes_of

if TYPE_CHECKING:
    from pathlib import Path

    import psutil

    from relay_kernel.settings.paths import Places
    from tests.e2e.rig import Notebook, Pc

STATE = "import os; big = os.urandom(3 << 20); total = sum(big); text = 'x' * 5000; small = [1]"
SAME = "assert sum(big) == total and len(text) == 5000; print('whole', small)"


def chunks(store: Path) -> list[Path]:
    return [path for path in store.glob("*/chunks/*/*") if path.is_file()]


def spoil(store: Path) -> int:
    """Flip a bit in every chunk; return how many there were."""
    found = chunks(store)
    for path in found:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    return len(found)


def remove(*stores: Path) -> None:
    for store in stores:
        for path in chunks(store):
            path.unlink()


def server_kernels(places: Places) -> list[psutil.Process]:
    ours = processes_of(places.config.parent)
    return [p for p in ours if any("ipykernel_launcher" in word for word in p.cmdline())]


async def kill_server_kernel(notebook: Notebook, places: Places) -> None:
    """Kill it, and wait until there is another."""
    _kill(server_kernels(places))
    async with asyncio.timeout(SOON):
        while not server_kernels(places):
            await notebook.run("pass", stop_on_error=False)


async def everything_is_safe(notebook: Notebook) -> None:
    """Wait until the last cell is safe, and all targets hold it."""
    last = None
    async with asyncio.timeout(SOON):
        while True:
            said = (await notebook.run("%relay")).said
            safe, head = said.rsplit("safe up to cell ", 1)[1].split(";")[0].split(" of ")
            last = last or int(head)
            if int(safe) >= last and "filling" not in said and "linked" not in said:
                return
            await asyncio.sleep(0.05)


class TestOnTheServer:
    async def test_a_standby_gets_the_value_from_the_pc(
        self, notebook: Notebook, desktop: Pc, server: Places
    ) -> None:
        """The server's disk spoiled what it had kept; the PC's kernel still has it all."""
        await notebook.run(STATE)
        await everything_is_safe(notebook)
        assert spoil(server.store)
        await kill_server_kernel(notebook, server)
        await everything_is_safe(notebook)
        desktop.lose_power()
        result = await notebook.run(SAME)
        assert (result.target, result.text()) == ("local", "whole [1]\n"), result.error

    async def test_what_nobody_holds_any_more_costs_only_itself(
        self, alone: Notebook, server: Places
    ) -> None:
        """The kernel died, and half of what it had left was damaged: the rest is there."""
        await alone.run("small = [1]")
        await alone.run(STATE)
        await everything_is_safe(alone)
        assert spoil(server.store)
        await kill_server_kernel(alone, server)
        result = await alone.run("print(small, 'big' in repr(big))")
        assert result.text() == "[1] True\n"
        error = (await alone.run("len(big)")).error
        assert error.startswith("LeftBehindError: `big` is not here")
        assert "\n" not in error

    async def test_a_store_that_somebody_emptied_is_filled_again(
        self, alone: Notebook, server: Places
    ) -> None:
        await alone.run(STATE)
        await everything_is_safe(alone)
        remove(server.store)
        result = await alone.run("small.append(2)")
        await everything_is_safe(alone)
        await kill_server_kernel(alone, server)
        result = await alone.run(SAME)
        assert result.text() == "whole [1, 2]\n"


class TestOnThePc:
    async def test_chunks_that_are_gone_from_both_are_written_again(
        self, notebook: Notebook, desktop: Pc, server: Places
    ) -> None:
        """The PC's kernel does not look whether what it wrote is still there."""
        await notebook.run(STATE)
        await everything_is_safe(notebook)
        remove(server.store, desktop.sshd.relay_home / "state" / "store")
        await notebook.run("small.append(2)")
        await everything_is_safe(notebook)
        desktop.lose_power()
        result = await notebook.run(SAME)
        assert (result.target, result.text()) == ("local", "whole [1, 2]\n")

    async def test_a_cache_that_a_power_cut_tore_is_mended(
        self, notebook: Notebook, desktop: Pc
    ) -> None:
        """Files have their names, and not what was written to them."""
        await notebook.run(STATE)
        await everything_is_safe(notebook)
        desktop.lose_power()
        assert (await notebook.run("small.append(2)")).target == "local"
        assert spoil(desktop.sshd.relay_home / "state" / "store")
        desktop.boot()
        result = await notebook.run_on("pc", SAME)
        assert result.text() == "whole [1, 2]\n"
