"""What becomes of a notebook when the line to its PC is cut, or the PC is gone.

    pip install sshpyk; python -m tests.bench.comparison [--only WAY]

Three cuts, each for relay-kernel, for sshpyk and for a plain ipykernel behind ``ssh -L``, over a
real sshd on loopback:

1. The line is cut for 7 s while a cell prints 25 lines, one each half second.
2. The line is cut for 8 s, and a cell that prints nothing until then ends meanwhile.
3. The PC loses power while a cell runs, and is back after 45 s. 15 s after the loss the user sends
   ``x + 1``, with an ``x`` from an earlier cell.

Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.ways import ImpatientRelay, Relay, Sshpyk, Tunnels, Way
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.bench.ways import Cell

WAYS: tuple[type[Way], ...] = (Relay, ImpatientRelay, Sshpyk, Tunnels)
#: Seconds after the line is back in which whatever comes is counted.
AFTER = 30.0
SOON = 30.0

LINES = 25
TICKS = f"""
import time
for tick in range({LINES}):
    print("tick", tick, flush=True)
    time.sleep(0.5)
"""
QUIET = "import time; print('begun', flush=True); time.sleep(4); print('done'); y = 1"
LONG = """
import time
for tick in range(24):
    print("tick", tick, flush=True)
    time.sleep(0.5)
"""


async def blip(way: Way) -> list[str]:
    """The line is cut for 7 s while a cell prints."""
    await way.run("x = 41", SOON)
    cell = way.send(TICKS)
    assert await cell.until(lambda c: "tick 4" in c.text, SOON)
    await cut(way, 7)
    await cell.until(lambda c: c.ended, LINES / 2 + AFTER)
    ticks = [line for line in cell.text.splitlines() if line.startswith("tick")]
    lost = LINES - len(set(ticks))
    doubled = len(ticks) - len(set(ticks))
    after, _ = await way.run("print(x + 1)", SOON)
    return [
        f"{lost} of {LINES}" + (f", {doubled} doubled" if doubled else ""),
        _end(cell),
        _value(after),
    ]


async def ends_meanwhile(way: Way) -> list[str]:
    """The line is cut for 8 s, and a cell ends meanwhile."""
    await way.run("x = 41", SOON)
    cell = way.send(QUIET)
    assert await cell.until(lambda c: "begun" in c.text, SOON)
    await cut(way, 8)
    back = time.monotonic()
    await cell.until(lambda c: c.ended, AFTER)
    when = f", {cell.replied_at - back:.1f} s after the line" if cell.ended else ""
    after, _ = await way.run("print(x + 1)", SOON)
    return ["shown" if "done" in cell.text else "lost", _end(cell) + when, _value(after)]


async def dead(way: Way) -> list[str]:
    """The PC loses power for 45 s while a cell runs."""
    await way.run("x = 41", SOON)
    cell = way.send(LONG)
    assert await cell.until(lambda c: "tick 4" in c.text, SOON)
    lost = time.monotonic()
    processes = way.processes()
    way.pc.stop()
    for process in processes:
        with contextlib.suppress(Exception):
            process.kill()
    await cell.until(lambda c: c.ended, 15)
    next_cell = way.send("print(x + 1)")
    sent = time.monotonic()
    await next_cell.until(lambda c: c.ended, lost + 45 - time.monotonic())
    away = _when(next_cell, sent, "while it was away")
    while time.monotonic() < lost + 45:
        await asyncio.sleep(0.1)
    way.pc.start()
    back = time.monotonic()
    await next_cell.until(lambda c: c.ended, AFTER)
    await cell.until(lambda c: c.ended, max(0.0, back + AFTER - time.monotonic()))
    last, _ = await way.run("print(x + 1)", SOON)
    answered = away or _when(next_cell, back, "after it was back") or "never"
    ended = _end(cell) + (f", {cell.replied_at - lost:.0f} s after the loss" if cell.reply else "")
    return [ended, answered, _value(last)]


def _end(cell: Cell) -> str:
    if not cell.ended:
        return "never" if cell.reply is None else "answered, and busy for ever"
    assert cell.reply is not None
    return "ends" if cell.reply["status"] == "ok" else f"ends with {cell.reply.get('ename')}"


def _value(cell: Cell) -> str:
    """What ``print(x + 1)`` found."""
    if cell.reply is None:
        return "no answer"
    return "kept" if cell.text == "42\n" else f"lost ({cell.reply.get('ename')})"


def _when(cell: Cell, since: float, words: str) -> str:
    if cell.reply is None:
        return ""
    return f"{_value(cell)}, {max(0.0, cell.replied_at - since):.1f} s {words}"


async def cut(way: Way, seconds: float) -> None:
    """The PC cannot be reached for a while; what runs there goes on."""
    way.pc.stop()
    await asyncio.sleep(seconds)
    way.pc.start()


CUTS: tuple[tuple[str, tuple[str, ...], Callable[[Way], Awaitable[list[str]]]], ...] = (
    ("cut for 7 s while a cell prints", ("lines lost", "the cell", "variables"), blip),
    ("cut for 8 s, a cell ends meanwhile", ("its output", "the cell", "variables"), ends_meanwhile),
    ("PC without power for 45 s", ("the cell", "`x + 1`, sent 15 s in", "`x` later"), dead),
)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def compare(ways: tuple[type[Way], ...], word: str) -> None:
    """Print a table for each cut whose title holds a word."""
    for title, columns, play in CUTS:
        if word not in title:
            continue
        print(f"\n| {title} | {' | '.join(columns)} |")
        print("|---" * (len(columns) + 1) + "|")
        for kind in ways:
            async with contextlib.AsyncExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cmp-")))
                stack.enter_context(_environment())
                pc = stack.enter_context(Sshd(folder / "pc"))
                found = await play(await stack.enter_async_context(kind(folder, pc)))
            print(f"| {kind.name} | {' | '.join(found)} |", flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="only the ways whose name holds this")
    parser.add_argument("--cut", default="", help="only the cuts whose title holds this")
    chosen = parser.parse_args()
    asyncio.run(compare(tuple(way for way in WAYS if chosen.only in way.name), chosen.cut))


if __name__ == "__main__":
    main()
