"""What happened. Facts for the router, in the past tense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay_kernel.core.model import OnLoss


@dataclass(frozen=True)
class CellSubmitted:
    """A front end sent an execute_request."""

    cell: int
    target: str | None = None
    """Named by ``%%relay TARGET``; None: wherever the router likes."""
    stops: bool = True
    """An error in it aborts the cells queued behind it (``stop_on_error`` of a cell not silent)."""
    once: bool = False
    """Of ``%%relay once``: whatever happens, it is not started twice."""
    silent: bool = False
    """Front ends show nothing of it, so notices wait for another."""
    restores: bool = False
    """Of ``%relay restore``: a kept state is put back before it."""


@dataclass(frozen=True)
class CellFinished:
    """The kernel at a target answered an execute_request."""

    target: str
    epoch: int
    cell: int
    ok: bool


@dataclass(frozen=True)
class TargetsConfigured:
    """The configuration names these targets beside ``local``, in order of preference."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class TargetOpened:
    """A new session with an agent began: it holds nothing of this notebook yet."""

    target: str


@dataclass(frozen=True)
class TargetResumed:
    """The link is back, with the same agent and the same session."""

    target: str


@dataclass(frozen=True)
class LinkClosed:
    """The link went down. The kernel behind it may go on."""

    target: str
    reason: str


@dataclass(frozen=True)
class TargetLost:
    """What the agent held is gone for certain: a goodbye, a restarted machine, a new agent."""

    target: str
    reason: str


@dataclass(frozen=True)
class TargetRefused:
    """The target answers and says no, or is not usable as configured: a person has to mend it."""

    target: str
    reason: str


@dataclass(frozen=True)
class KernelStarted:
    """The kernel at a target answers, and holds nothing."""

    target: str


@dataclass(frozen=True)
class KernelFailed:
    """The kernel at a target could not be started."""

    target: str
    reason: str
    killed: bool = False
    """Something ended it while it started, which it may not do a second time."""


@dataclass(frozen=True)
class KernelDied:
    """The kernel's process ended, and nobody asked it to."""

    target: str
    reason: str


@dataclass(frozen=True)
class SnapshotArrived:
    """The state after a cell is whole on the server. It may not be durable yet."""

    epoch: int
    cell: int
    anew: bool = False
    """It is another one than came for this cell before: something else than a cell changed it."""
    stirred: int = 0
    """It was ordered after the ``StateStirred`` of this number; 0: it was not ordered for one."""


@dataclass(frozen=True)
class StateStirred:
    """A request that is no cell of the main shell may have changed the state at a target."""

    target: str
    number: int
    """Counts them, from 1."""


@dataclass(frozen=True)
class SnapshotFailed:
    """The state after a cell could not be taken or brought over."""

    epoch: int
    cell: int
    reason: str


@dataclass(frozen=True)
class ValuesLeftBehind:
    """Variables have values that no other target can be given."""

    target: str
    reasons: Mapping[str, str]
    """By name, what follows "because"."""


@dataclass(frozen=True)
class StateRestored:
    """The kept state that a cell asked for is the newest snapshot now; or cannot be had."""

    cell: int
    ok: bool


@dataclass(frozen=True)
class SnapshotApplied:
    """The kernel at a target now holds the state after a cell."""

    target: str
    cell: int


@dataclass(frozen=True)
class ApplyFailed:
    """The kernel at a target could not take the state after a cell."""

    target: str
    cell: int
    reason: str


@dataclass(frozen=True)
class TargetForced:
    """``%relay TARGET``, or None for ``%relay auto``."""

    target: str | None


@dataclass(frozen=True)
class OnLossChosen:
    """``%relay on_loss …``."""

    on_loss: OnLoss


@dataclass(frozen=True)
class Answered:
    """The user was asked in a cell whether what was lost shall run again, and said so."""

    cell: int
    again: bool


@dataclass(frozen=True)
class Interrupted:
    """The user pressed stop."""


Event = (
    CellSubmitted
    | CellFinished
    | TargetsConfigured
    | TargetOpened
    | TargetResumed
    | LinkClosed
    | TargetLost
    | TargetRefused
    | KernelStarted
    | KernelFailed
    | KernelDied
    | SnapshotArrived
    | StateStirred
    | SnapshotFailed
    | ValuesLeftBehind
    | StateRestored
    | SnapshotApplied
    | ApplyFailed
    | TargetForced
    | OnLossChosen
    | Answered
    | Interrupted
)
