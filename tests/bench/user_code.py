"""How much longer the user's own code takes in a kernel whose state something keeps.

A per cent is less than what differs by chance: from process to process, since memory is laid out
in another way; from core to core; and from minute to minute on a machine that others share. There
are two ways to see it all the same.

With a rival and without: every kernel is compared with itself before anything kept its state; all
have the same core, and what drives them another; and what counts is the time in relation to that
of a plain kernel which has its turn right before.

Right behind a capture and not: in one kernel, whose core the system chooses, a coin says of each
cell whether a capture follows, and cells are compared with their neighbours. Thousands of them are
enough. This holds what a capture leaves behind: other things in the caches, another core.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import tempfile
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from tests.bench.rivals import Imports, Nothing, Relay, Rival

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: What is timed, some milliseconds of it.
LOOPS = {
    "a function that reads globals": (
        "a, b = 1, 2\ndef f(n):\n    t = 0\n    for _ in range(n): t += a + b\n    return t\n"
        "f(100_000)"
    ),
    "a loop at the top": "t = 0\nfor i in range(50_000): t += i",
}
#: The most that it may take with us, in relation to what it takes without.
BAR = 1.01
#: A cell: the loop some times over, each with the memory for its numbers begun elsewhere. The last
#: line is what its thread had of a core meanwhile, in seconds. Other threads publish that the
#: cell has begun during the first times.
TIMED = """\
import random as _r, time as _t
_code, _taken = compile({loop!r}, "loop", "exec"), []
for _ in range(14):
    _p = [i + (1 << 20) for i in range(_r.randrange(5000))]
    _b = _t.thread_time(); exec(_code); _taken.append(_t.thread_time() - _b)
print(sorted(_taken[4:])[5])
"""
#: How many kernels of each rival, and how many such cells each runs before and with the rival.
KERNELS, CELLS = 12, 16
#: How many cells with a capture before them or none; what they lose to other work is left out.
TOSSED, SOUND = 3000, 0.9
#: Makes captures wait for a coin.
COIN = """\
import sys as _s
_handlers = _s.modules["_relay_inkernel.messages"].Handlers
def _capture_now(self, *of, _usual=_handlers._capture_now, _s=_s):
    if _s.coin: _usual(self, *of)
_handlers._capture_now, _s.coin = _capture_now, True
"""
#: A cell: the loop a few times over; the last line is what its thread had of a core.
BEHIND = """\
import time as _t
_code, _b = compile({loop!r}, "loop", "exec"), _t.thread_time()
for _ in range(3): exec(_code)
print(_t.thread_time() - _b)
_s.coin = {coin}
"""


def slowed(rivals: Iterable[type[Rival]], python: Path) -> None:
    """Print how much longer user code takes with each rival.

    A kernel that gets no rival shows what no difference looks like here; one that imports other
    modules, what any package does by being there.
    """
    kinds = (Nothing, Imports, *rivals)
    for name, loop in LOOPS.items():
        print(f"\n{name}: the time with x without, of {KERNELS} kernels each")
        cell = TIMED.format(loop=loop)
        trials = [_trial(kinds, cell, python) for _ in range(KERNELS)]
        for kind, found in zip(kinds, zip(*trials, strict=True), strict=True):
            middle = median(found)
            bar = f"≤ {BAR} x {'met' if middle <= BAR else 'NOT MET'}" if kind is Relay else ""
            spread = f"({min(found):.3f}-{max(found):.3f})"
            print(f"  {kind.name:<14}{middle:8.3f} x  {spread}  {bar}", flush=True)


def behind_captures(python: Path) -> None:
    """Print how much longer user code takes right behind a capture, with its standard error."""
    for name, loop in LOOPS.items():
        more, error = _step(*_tossed(loop, python))
        middle = math.exp(more)
        met = "met" if middle <= BAR else "NOT MET"
        print(f"\n{name}, behind a capture: {middle:.3f} x  ± {error:.3f}  ≤ {BAR} x {met}")


def _tossed(loop: str, python: Path) -> tuple[list[bool], list[float]]:
    """Return of each cell whether a capture came right before it, and the log of its seconds."""
    behind, logs, coin = [], [], True
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        relay = Relay(Path(folder), python)
        try:
            relay.run(COIN)
            for _ in range(TOSSED):
                behind.append(coin)
                coin = random.random() < 0.5
                taken = relay.run(BEHIND.format(loop=loop, coin=coin))
                logs.append(math.log(float(taken.split()[-1])))
        finally:
            relay.stop()
    return behind, logs


def _step(behind: Sequence[bool], logs: Sequence[float]) -> tuple[float, float]:
    """Return by how much ``logs`` rises from a cell without a capture to one behind it.

    Only neighbours are compared, since a machine is faster in one minute than in the next.

    Returns:
        The mean, and its standard error.
    """
    steps = [
        after - before if here else before - after
        for there, here, before, after in zip(behind, behind[1:], logs, logs[1:], strict=False)
        if here != there
    ]
    middle = median(steps)
    sound = sorted(steps, key=lambda step: abs(step - middle))[: int(len(steps) * SOUND)]
    mean = fmean(sound)
    return mean, math.sqrt(sum((step - mean) ** 2 for step in sound)) / len(sound)


def _trial(kinds: Sequence[type[Rival]], cell: str, python: Path) -> list[float]:
    """Return how many times as long the cell takes with a rival of each kind."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        )
        cores = sorted(os.sched_getaffinity(0))
        with _on_core(cores[0]):
            beside = [
                _started(kind, Path(folder) / str(number), python)
                for number, kind in enumerate((Nothing, *kinds))
            ]
        for rival in beside:
            stack.callback(rival.stop)
        with _on_core(cores[-1]):
            before = _beside_the_first(beside, cell)
            for rival in beside:
                rival.attach()
            after = _beside_the_first(beside, cell)
        return [now / then for then, now in zip(before, after, strict=True)]


def _started(kind: type[Rival], folder: Path, python: Path) -> Rival:
    folder.mkdir()
    return kind(folder, python, attach=False)


def _beside_the_first(rivals: Sequence[Rival], cell: str) -> list[float]:
    """Return the time of each but the first, in relation to that of the first in the same round."""
    rounds = [[float(rival.run(cell).split()[-1]) for rival in rivals] for _ in range(CELLS)]
    related = [[own / first for own in others] for first, *others in rounds]
    return [median(of_one) for of_one in zip(*related, strict=True)]


@contextlib.contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Keep this process, and those that it starts meanwhile, on one core."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)
