"""What many histories came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sim.history import History, narrow
from tests.sim.oracle import Broken

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What seldom happens, and how often it must have happened at least in :data:`CI` histories: where
#: nothing goes wrong, nothing is proved.
CI = 300
RARE = {
    "added": 10,
    "added with a cell": 10,
    "answers False": 5,
    "answers True": 5,
    "cut": 200,
    "declared lost": 30,
    "edited": 20,
    "failed apply": 20,
    "failed capture": 50,
    "failed start": 10,
    "found rebooted": 30,
    "found restarted": 30,
    "guest swept": 10,
    "hole": 100,
    "hole one way": 50,
    "interrupt in capture": 10,
    "interrupt with a cell": 100,
    "interrupted out of reach": 20,
    "kernel died before its idle": 2,
    "kernel killed in a capture": 20,
    "late order": 5,
    "lease ended on a cell": 20,
    "lease renewed after all": 3,
    "local kernel killed": 100,
    "lost a PC in a fill": 30,
    "lost a PC with a cell": 100,
    "lost in a repeat": 3,
    "lost local in a fill": 5,
    "lost local with a cell": 50,
    "never answers": 3,
    "power loss": 50,
    "R stalls": 50,
    "removed where cells run": 10,
    "restart with a goodbye": 50,
    "resumed": 200,
    "run again": 30,
    "run silent": 15,
    "suspend": 50,
}


@dataclass
class Figures:
    """Sums over histories."""

    histories: int = 0
    seconds: float = 0.0
    """Virtual."""
    messages: int = 0
    cells: int = 0
    tally: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)
    """Seed, and the rule that was broken."""

    def __iadd__(self, other: Figures) -> Figures:
        self.histories += other.histories
        self.seconds += other.seconds
        self.messages += other.messages
        self.cells += other.cells
        self.tally += other.tally
        self.failures += other.failures
        return self

    @property
    def missing(self) -> dict[str, int]:
        """What happened too seldom, and how often it did."""
        share = self.histories / CI
        return {
            what: self.tally[what]
            for what, least in RARE.items()
            if self.tally[what] < int(least * share)
        }


def live(seeds: Iterable[int]) -> Figures:
    """Live through the histories of these seeds."""
    sums = Figures()
    with narrow():
        for seed in seeds:
            history = History(seed)
            try:
                history.run()
            except Broken as broken:
                sums.failures.append((seed, str(broken)))
            except Exception as error:
                # The world must stand whatever happens in it; where it does not, say in which.
                sums.failures.append((seed, f"crashed: {error!r}"))
            sums += Figures(
                1,
                history.clock.now,
                history.clock.messages,
                len(history.programs),
                history.tally,
            )
    return sums
