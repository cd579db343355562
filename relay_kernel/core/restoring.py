"""``%relay restore``: a kept state takes the place of the present one, before the cell that asks.

Such a cell has two numbers to itself: the state that is put back counts as that of the cell before
it, which no cell was. So every target needs to be filled with it, whatever it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.effects import Effect, Restore
from relay_kernel.core.model import LOCAL, Phase
from relay_kernel.core.records import REPLACED

if TYPE_CHECKING:
    from relay_kernel.core.events import StateRestored
    from relay_kernel.core.records import Cell
    from relay_kernel.core.router import Router


def begin(router: Router, cell: Cell, now: float) -> tuple[list[Effect], float | None]:
    """``cell``, the first in the queue, asks for a kept state; nothing is running.

    Returns:
        Effects; and when to ask again, if the present state has to be known first.
    """
    if router.restoring is not None:
        return [], None
    local = router.targets[LOCAL]
    if not local.kernel and (local.starting or local.phase is Phase.ABSENT):
        return [], None
    until = cell.submitted + router.policy.wait_at_submit
    if router.unkept and not router.unkept_reason and now < until:
        return [], until
    router.restoring = cell.number
    return [Restore(cell.number)], None


def done(router: Router, event: StateRestored) -> list[Effect]:
    """The state was put in place, or cannot be: then the cell only says so."""
    if router.restoring != event.cell:
        return []
    cell = router.queue[0]
    router.restoring, cell.restores = None, False
    if event.ok:
        router.head = router.kept = cell.number - 1
        router.unkept.clear()
        router.unkept_reason = ""
        router.stirred = 0
        for target in router.targets.values():
            # Even the primary holds a state that is no more.
            target.applied = REPLACED if target.kernel else 0
    return []


def forget(router: Router) -> None:
    """A cell that asked may have left the queue: it was interrupted, say."""
    if not router.queue or router.queue[0].number != router.restoring:
        router.restoring = None
