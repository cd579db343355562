"""Faults in the router, the fence and the session, each of which the histories must find."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from relay_kernel.core import loss as losses
from relay_kernel.core.effects import Discard, Effect, Fill
from relay_kernel.core.events import LinkClosed
from relay_kernel.core.fence import Fence
from relay_kernel.core.model import Run
from relay_kernel.core.router import Router
from relay_kernel.core.shown import Shown
from relay_kernel.wire.session import Answered, Session, Silent
from tests.sim.history import Parts
from tests.sim.oracle import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.core.records import Cell

# ---------------------------------------------------------------------- the router


class MovesInOneEpoch(Router):
    """The role moves, and the epoch does not rise."""

    def _dispatch(self, cell: Cell, target: str, reason: str) -> list[Effect]:
        self.primary = target
        return super()._dispatch(cell, target, reason)


class LosesInOneEpoch(Router):
    """A role that was lost goes on in its epoch."""

    def _lose(self, *args: Any, **options: Any) -> list[Effect]:
        epoch = self.epoch
        effects = super()._lose(*args, **options)
        self.epoch = epoch
        return effects


class ForgetsTheUnkept(Router):
    """Takes what finished for safe."""

    def _cell_finished(self, *args: Any) -> list[Effect]:
        effects = super()._cell_finished(*args)
        self.unkept.clear()
        return effects


class FilledTooSoon(Router):
    """Takes a target for filled as soon as that was ordered."""

    def _refill(self, now: float) -> list[Effect]:
        effects = super()._refill(now)
        for effect in effects:
            if isinstance(effect, Fill):
                target = self.targets[effect.target]
                target.applied, target.filling = effect.cell, None
        return effects


class TrustsAnEmptyKernel(Router):
    """Takes a new kernel for one that holds what the last one held."""

    def _kernel_started(self, event: Any, now: float) -> list[Effect]:
        effects = super()._kernel_started(event, now)
        self.targets[event.target].applied = self.kept
        return effects


class RepeatsBackwards(Router):
    """Runs again in the wrong order."""

    def _lose(self, *args: Any, **options: Any) -> list[Effect]:
        effects = super()._lose(*args, **options)
        repeats = [cell for cell in self.queue if cell.run is not Run.FIRST]
        for _ in repeats:
            self.queue.popleft()
        self.queue.extendleft(repeats)
        return effects


class BlipForGoodbye(Router):
    """Waits for what is gone for certain."""

    def _target_lost(self, event: Any, now: float) -> list[Effect]:
        return self._link_closed(LinkClosed(event.target, event.reason), now)


class WaitsForEver(Router):
    """Never gives up a cell on a target that is out of reach."""

    def next_deadline(self) -> float | None:
        return self._wait_until

    def handle_deadline(self, now: float) -> list[Effect]:
        return self._advance(now)


class GivesUpTooSoon(Router):
    """Gives the role away while the lease still runs."""

    def _enter(self, target: Any, phase: Any, now: float, reason: str = "") -> None:
        super()._enter(target, phase, now - 0.8 * self.policy.lost_after, reason)


class AbortsNothing(Router):
    """Runs on behind an error."""

    def abort_queue(self) -> list[Effect]:
        return []


class ForgetsOnce(Router):
    """Takes no notice of %%relay once."""

    def _cell_submitted(self, event: Any, now: float) -> list[Effect]:
        return super()._cell_submitted(replace(event, once=False), now)


class AlwaysRepeats(Router):
    """Runs again whatever ``on_loss`` says."""

    def _lose(self, *args: Any, **options: Any) -> list[Effect]:
        policy, self.policy = self.policy, replace(self.policy, on_loss="rerun")
        effects = super()._lose(*args, **options)
        self.policy = policy
        return effects


class RepeatsAloud(Router):
    """Shows what finished cells print when they run again."""

    def _dispatch(self, cell: Cell, target: str, reason: str) -> list[Effect]:
        if cell.run is Run.SILENT:
            cell = replace(cell, run=Run.AGAIN)
        return super()._dispatch(cell, target, reason)


class RepeatsMute(Router):
    """Shows nothing of a cell that had not finished when it runs again."""

    def _dispatch(self, cell: Cell, target: str, reason: str) -> list[Effect]:
        if cell.run is Run.AGAIN:
            cell = replace(cell, run=Run.SILENT)
        return super()._dispatch(cell, target, reason)


class HasPatience(Router):
    """Waits for a cell that was interrupted out of reach."""

    def _lose(self, *args: Any, stopped: bool = False, **options: Any) -> list[Effect]:
        return [] if stopped else super()._lose(*args, **options)


class DiscardsNothing(Router):
    """Gives a target up, and still listens to its session."""

    def _lose(self, *args: Any, **options: Any) -> list[Effect]:
        effects = super()._lose(*args, **options)
        return [effect for effect in effects if not isinstance(effect, Discard)]


class RepeatsSome(Router):
    """Forgets the first of those that are to run again."""

    def _lose(self, *args: Any, **options: Any) -> list[Effect]:
        effects = super()._lose(*args, **options)
        if self.queue and self.queue[0].run is Run.SILENT:
            self.queue.popleft()
        return effects


def refuse_nothing(router: Router) -> list[Effect]:
    """Runs the next cell on variables of which it was not told that they are lost."""
    return []


# ---------------------------------------------------------------------- the fence


class NeverCloses(Fence):
    """A lease without end."""

    def next_deadline(self) -> float | None:
        return None


class TwiceAsLong(Fence):
    """A lease that outlives R's patience."""

    def next_deadline(self) -> float | None:
        deadline = super().next_deadline()
        term = self.terms.busy if self.busy else self.terms.idle
        return None if deadline is None or term is None else deadline + term


class AnyOrderRenews(Fence):
    """Takes whatever order comes for a sign of R, however long it has been under way."""

    def is_closed(self, now: float) -> bool:
        closed = super().is_closed(now)
        self.renew(now)
        return closed


class LeaseFromReceipt(Session):
    """Says that what was just answered was just sent."""

    def receive(self, data: Any, now: float) -> list[Any]:
        events = super().receive(data, now)
        return [Answered(now) if isinstance(event, Answered) else event for event in events]


# ---------------------------------------------------------------------- the session


class SettlesOneTooMany(Session):
    """Takes one message more for received than the peer said."""

    def _settle(self, received: int) -> None:
        super()._settle(min(received + 1, self._number))


class ReplaysNothing(Session):
    """Forgets at a cut what was under way."""

    def end(self) -> None:
        super().end()
        self._again.clear()


class GreetsOneBehind(Session):
    """Says that it lacks the last message, which it has."""

    def begin(self, now: float) -> None:
        self.received = max(0, self.received - 1)
        super().begin(now)


class ForgetsHalfAMessage(Session):
    """Throws away with the link the fragments that came over it."""

    def begin(self, now: float) -> None:
        for fragments in self._fragments.values():
            fragments.parts.clear()
        super().begin(now)


class NeverSilent(Session):
    """Believes in a dead link for ever."""

    def handle_deadline(self, now: float) -> list[Any]:
        return [one for one in super().handle_deadline(now) if not isinstance(one, Silent)]


class ProbesNothing(Session):
    """Does not hurry to find out whether a link is dead."""

    def probe(self, now: float, patience: float) -> None:
        pass


class ShowsAllAgain(Shown):
    """Forgets what a cell has shown before it runs again."""

    def again(self) -> None:
        self.__init__()  # type: ignore[misc]


# ----------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """A planted fault, and the rules by which it may be found."""

    name: str
    parts: Parts
    rules: frozenset[Rule]
    remote: bool = False
    """Whether it takes a PC that is out of reach for long."""
    plant: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)


def _router(kind: type[Router], *rules: Rule, remote: bool = False) -> Fault:
    return Fault(kind.__name__, Parts(router=kind), frozenset(rules), remote)


def _fence(kind: type[Fence], *rules: Rule) -> Fault:
    return Fault(kind.__name__, Parts(fence=kind), frozenset(rules), remote=True)


def _session(kind: type[Session], *rules: Rule, remote: bool = False) -> Fault:
    return Fault(kind.__name__, Parts(session=kind), frozenset(rules), remote)


def _patched(instead: Callable[..., Any], name: str, *rules: Rule) -> Fault:
    return Fault(
        instead.__name__,
        Parts(),
        frozenset(rules),
        plant=lambda: patch.object(losses, name, instead),
    )


R = Rule
FAULTS = [
    _router(MovesInOneEpoch, R.ONE_PLACE),
    _router(LosesInOneEpoch, R.ONE_PLACE),
    _router(ForgetsTheUnkept, R.STATE),
    _router(FilledTooSoon, R.STATE),
    _router(TrustsAnEmptyKernel, R.STATE),
    _router(RepeatsBackwards, R.STATE),
    _router(BlipForGoodbye, R.IN_TIME, R.MESSAGES),
    _router(WaitsForEver, R.IN_TIME, remote=True),
    _router(GivesUpTooSoon, R.ALONE),
    _router(AbortsNothing, R.ABORTS),
    _router(ForgetsOnce, R.ONCE),
    _router(AlwaysRepeats, R.STOP),
    _router(RepeatsAloud, R.ANSWERED, R.LINES, R.STATE),
    _router(RepeatsMute, R.LINES, R.ANSWERED),
    _router(HasPatience, R.IN_TIME),
    _router(DiscardsNothing, R.FENCED, R.MESSAGES),
    _router(RepeatsSome, R.STATE),
    _patched(refuse_nothing, "refuse_next", R.STATE),
    _fence(NeverCloses, R.ALONE),
    _fence(TwiceAsLong, R.ALONE),
    _fence(AnyOrderRenews, R.ALONE),
    _session(LeaseFromReceipt, R.ALONE, remote=True),
    _session(SettlesOneTooMany, R.MESSAGES),
    _session(ReplaysNothing, R.MESSAGES),
    _session(GreetsOneBehind, R.MESSAGES),
    _session(ForgetsHalfAMessage, R.MESSAGES),
    _session(NeverSilent, R.IN_TIME),
    _session(ProbesNothing, R.IN_TIME),
    Fault("ShowsAllAgain", Parts(shown=ShowsAllAgain), frozenset({R.LINES})),
]
