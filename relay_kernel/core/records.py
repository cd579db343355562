"""What the router remembers of cells and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.core.model import Phase, Run

if TYPE_CHECKING:
    from collections.abc import Sequence


#: Instead of the number of a cell: the state after one, but not the one that counts now.
REPLACED = -1


@dataclass
class Cell:
    """One execute_request on its way."""

    number: int
    target: str | None
    stops: bool
    submitted: float
    run: Run = Run.FIRST
    epoch: int = 0
    ok: bool | None = None
    once: bool = False
    silent: bool = False
    restores: bool = False


@dataclass
class Target:
    """What is believed of one target."""

    name: str
    phase: Phase = Phase.ABSENT
    since: float = 0.0
    reason: str = "not connected yet"
    kernel: bool = False
    #: A kernel was ordered, and neither answers nor has failed yet.
    starting: bool = False
    #: The cell whose state its kernel holds, or REPLACED; 0 is the empty state that all start with.
    applied: int = 0
    filling: int | None = None
    #: What it is being filled with was replaced meanwhile.
    outdated: bool = False
    deaths: int = 0
    #: Starts in a row that failed.
    failures: int = 0
    impatient_until: float = 0.0

    def describe(self) -> str:
        """Its name and phase, with the reason for that phase."""
        return because(f"{self.name} is {self.phase.value}", self.reason)


def because(what: str, reason: str) -> str:
    """``what``, and the reason if there is one."""
    return f"{what}: {reason}" if reason else what


def name_cells(cells: Sequence[Cell]) -> str:
    """``cell 3``, or ``cells 3, 4``."""
    numbers = ", ".join(str(cell.number) for cell in cells)
    return f"cell {numbers}" if len(cells) == 1 else f"cells {numbers}"
