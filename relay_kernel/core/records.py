"""What the router remembers of cells and targets."""

from __future__ import annotations

from dataclasses import dataclass

from relay_kernel.core.model import Phase, Run


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
    #: The cell whose state its kernel holds; 0 is the empty state all kernels start with.
    applied: int = 0
    filling: int | None = None
    deaths: int = 0
    impatient_until: float = 0.0

    def describe(self) -> str:
        """Its name and phase, with the reason for that phase."""
        return because(f"{self.name} is {self.phase.value}", self.reason)


def because(what: str, reason: str) -> str:
    """``what``, and the reason if there is one."""
    return f"{what}: {reason}" if reason else what
