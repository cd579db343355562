"""What to do. Orders from the router, in the imperative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.core.model import Run


@dataclass(frozen=True)
class Dispatch:
    """Send a cell to the kernel at a target."""

    cell: int
    target: str
    epoch: int
    run: Run
    reason: str
    """Why there: for ``metadata.relay.reason``."""


@dataclass(frozen=True)
class Fail:
    """End a cell with an error reply that R makes itself."""

    cell: int
    name: str
    text: str


@dataclass(frozen=True)
class Abort:
    """End a queued cell as one behind an error ends."""

    cell: int


@dataclass(frozen=True)
class Tell:
    """Show one line in a cell."""

    cell: int
    text: str


@dataclass(frozen=True)
class Ask:
    """Ask the user of a cell whether what was lost shall run again; ``Answered`` is the answer.

    Where its front end cannot be asked, the answer is no.
    """

    cell: int
    text: str


@dataclass(frozen=True)
class StartKernel:
    """Start a new kernel at a target, in place of any that is there."""

    target: str


@dataclass(frozen=True)
class Fill:
    """Bring the state after a cell, or a newer one, to a target, and make it so there."""

    target: str
    cell: int


@dataclass(frozen=True)
class Interrupt:
    """Interrupt the kernel at a target."""

    target: str


@dataclass(frozen=True)
class Discard:
    """Give a target up: whatever still comes from its present session is stale."""

    target: str


@dataclass(frozen=True)
class Restore:
    """Get ready the kept state that a cell asks for; ``StateRestored`` is the answer."""

    cell: int


Effect = Dispatch | Fail | Abort | Tell | Ask | StartKernel | Fill | Interrupt | Discard | Restore
