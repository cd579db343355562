"""Where the next cell runs, as things stand: now there, later, elsewhere, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.core.model import LOCAL, Phase, Run

if TYPE_CHECKING:
    from relay_kernel.core.records import Cell, Target
    from relay_kernel.core.router import Router

#: Seconds for which no cell waits for a target that was too slow to be filled for one.
IMPATIENCE = 30.0


@dataclass(frozen=True)
class Go:
    """Run it there."""

    target: str
    reason: str


@dataclass(frozen=True)
class Wait:
    """Ask again at a time; None: some event will end the wait."""

    until: float | None


@dataclass(frozen=True)
class Lose:
    """The target that should run it was out of reach for too long: give it up, and ask again."""

    target: str
    reason: str


@dataclass(frozen=True)
class Refuse:
    """End the cell with this error."""

    text: str


Choice = Go | Wait | Lose | Refuse


def choose(router: Router, cell: Cell, now: float) -> Choice:
    """Choose for ``cell``, the first in the queue; nothing is running."""
    primary = router.targets[router.primary]
    if primary.phase is Phase.QUIET:
        until = max(primary.since, cell.submitted) + router.policy.wait_at_submit
        return Wait(until) if now < until else Lose(primary.name, primary.reason)
    forced = (cell.target or router.forced) if cell.run is Run.FIRST else None
    if forced is not None:
        return _choose_forced(router, cell, forced, now)
    for name in router.names:
        target = router.targets[name]
        if _holds_head(router, target):
            return Go(name, _why(router, name))
        if _worth_waiting(router, target, now):
            until = cell.submitted + router.policy.handover
            if now < until:
                return Wait(until)
            target.impatient_until = now + IMPATIENCE
    return _choose_none(router)


def _choose_forced(router: Router, cell: Cell, name: str, now: float) -> Choice:
    target = router.targets.get(name)
    if target is None:
        known = ", ".join(router.names)
        return Refuse(f"there is no target {name!r}; there are: {known}; relay add makes one known")
    if _holds_head(router, target):
        magic = "%%relay" if cell.target else "%relay"
        return Go(name, f"asked for by {magic} {name}")
    if target.kernel and target.phase in {Phase.FILLING, Phase.READY}:
        if router.unkept_reason and router.kept != router.head:
            return Refuse(f"the variables cannot be brought to {name}: {router.unkept_reason}")
        return Wait(None)
    if target.starting and target.phase is Phase.LINKED:
        # It starts or fails: the agent sees to that.
        return Wait(None)
    until = cell.submitted + router.policy.wait_at_submit
    if now < until:
        return Wait(until)
    return Refuse(f"{target.describe()}. Use `%relay auto` to run where possible.")


def _choose_none(router: Router) -> Choice:
    local = router.targets[LOCAL]
    if local.kernel or local.starting or local.phase is Phase.ABSENT:
        return Wait(None)
    return Refuse(f"no kernel can run this cell. local: {local.reason}")


def _holds_head(router: Router, target: Target) -> bool:
    usable = target.kernel and target.phase is not Phase.QUIET
    return usable and target.filling is None and target.applied == router.head


def _worth_waiting(router: Router, target: Target, now: float) -> bool:
    """Whether a standby will hold the head in a moment: it was filled before."""
    was_filled = target.applied > 0 and target.name != router.primary
    return (
        target.kernel
        and (was_filled or target.applied < 0)
        and target.phase in {Phase.FILLING, Phase.READY}
        and now >= target.impatient_until
    )


def _why(router: Router, name: str) -> str:
    first = router.targets[router.names[0]]
    return "preferred" if name == first.name else first.describe()
