"""How soon a lost PC is noticed, and how soon the cell goes on.

    python -m tests.bench.loss [TIMES]

Medians and the worst of so many losses, beside the bars. The settings are the defaults, but for
``lost_after``, which is a choice and not a speed: it is 6 s here, and is not part of any figure.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.cli.status import collect
from relay_kernel.settings.paths import find_places
from tests.e2e.rig import Notebook, Pc, configure, end_hub, without_planes
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.rig import Running

#: Seconds, as the issue asks.
BARS = {
    "a dead link is noticed": 5.0,
    "a kernel's death is told": 0.2,
    "a goodbye is told": 0.2,
    "loss told → first output here": 0.5,
}
CODE = """
import os, time
print("runs as", os.getpid(), flush=True)
for _ in range(20): time.sleep(0.1)
"""


class Bench:
    """One notebook on one PC, which is lost again and again."""

    def __init__(self, notebook: Notebook, pc: Pc) -> None:
        self.notebook = notebook
        self.pc = pc
        self.taken: dict[str, list[float]] = {name: [] for name in BARS}

    async def begin(self) -> Running:
        """A cell that runs on the PC."""
        await self.notebook.run_on("pc", "x = 1")
        cell = self.notebook.send(CODE)
        await cell.shows("runs as")
        return cell

    async def lose(self, name: str, lose: Callable[[], None]) -> None:
        """Lose the PC; measure until R says so in the cell, and until the cell prints again."""
        cell = await self.begin()
        began = time.perf_counter()
        lose()
        await until(cell, lambda: bool(cell.text("stderr")))
        told = time.perf_counter()
        await until(cell, lambda: cell.text().count("\n") == 2)
        self.taken[name].append(told - began)
        self.taken["loss told → first output here"].append(time.perf_counter() - told)
        await cell.end()

    async def freeze(self) -> None:
        """Cut the line without a word; measure until the target is ``quiet``."""
        cell = await self.begin()
        began = time.perf_counter()
        self.pc.freeze()
        while phase() != "quiet":
            await asyncio.sleep(0.01)
        self.taken["a dead link is noticed"].append(time.perf_counter() - began)
        await until(cell, lambda: bool(cell.text("stderr")))
        told = time.perf_counter()
        await until(cell, lambda: cell.text().count("\n") == 2)
        self.taken["loss told → first output here"].append(time.perf_counter() - told)
        await cell.end()
        self.pc.thaw()

    def goodbye(self) -> None:
        """The agent is asked to end, as at a shutdown."""
        for process in self.pc.named("agent"):
            if "--attach" not in process.cmdline():
                process.terminate()


async def until(cell: Running, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            cell.changed.clear()
            await cell.changed.wait()


def phase() -> str:
    """The PC's, as ``relay status`` tells it."""
    return str(collect(find_places())["targets"]["pc"]["phase"])


async def measure(times: int) -> dict[str, list[float]]:
    """Seconds, by what was measured."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        os.environ["RELAY_HOME"] = str(folder / "home")
        places = find_places().make()
        pc = Pc(stack.enter_context(Sshd(folder / "pc")), places)
        stack.callback(pc.close)
        stack.callback(end_hub, places)
        without_planes(places)
        configure(places, lost_after=6.0)
        notebook = await stack.enter_async_context(Notebook(folder / "spec"))
        bench = Bench(notebook, pc)
        for _ in range(times):
            await bench.lose("a kernel's death is told", pc.kill_kernel)
            await bench.lose("a goodbye is told", bench.goodbye)
            await bench.freeze()
        return bench.taken


def main() -> None:
    """Run it and print the figures."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    taken = asyncio.run(measure(times))
    for name, seconds in taken.items():
        median, worst = statistics.median(seconds), max(seconds)
        print(f"{name:<32}{median:7.3f} s, worst {worst:6.3f} s  (bar: {BARS[name]} s)")


if __name__ == "__main__":
    main()
