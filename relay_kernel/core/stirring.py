"""State that changed beside the cells: a widget's callback, or a cell on a subshell.

Rule: what was changed so moves with the role, or the next cell is told that it did not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.choice import Choice, Go, Wait

if TYPE_CHECKING:
    from relay_kernel.core import events as ev
    from relay_kernel.core.records import Cell
    from relay_kernel.core.router import Router


def stir(router: Router, event: ev.StateStirred) -> None:
    """Note it, until a snapshot is here that was taken later."""
    if event.target == router.primary:
        router.stirred = event.number
        # A cell that runs, or else the next one, is followed by such a snapshot.
        router.stirred_until = router.running.number if router.running else router.head + 1


def settle(router: Router, event: ev.SnapshotArrived) -> None:
    """A snapshot is whole here: does it hold what was changed last?"""
    if event.epoch != router.epoch:
        return
    if event.stirred >= router.stirred or event.cell >= router.stirred_until:
        router.stirred = 0


def patient(router: Router, cell: Cell, choice: Choice, now: float) -> Choice:
    """``choice``, or to wait a moment for the changes that shall move along."""
    until = cell.submitted + router.policy.handover
    moves = isinstance(choice, Go) and choice.target != router.primary
    return Wait(until) if moves and router.stirred and now < until else choice


def leave(router: Router, text: str) -> None:
    """The role leaves the primary: what was changed there and is not here stays behind."""
    if router.stirred:
        router.notices.append(
            f"{text}: what a widget or a subshell changed there at last is not here"
        )
    router.stirred = 0
