"""Which target runs the next cell, and what becomes of the cells of a target that is lost.

Rule 1: a role moves only between cells, to a target that holds the state of the last finished cell.
Rule 2: every role change raises the epoch; a fact of an older epoch changes nothing.
Rule 3: every submitted cell leaves by Dispatch and CellFinished, by Fail, or by Abort.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relay_kernel.core import events as ev
from relay_kernel.core import loss as losses
from relay_kernel.core import naming, restoring, stirring
from relay_kernel.core.choice import Go, Lose, Refuse, Wait, choose
from relay_kernel.core.effects import (
    Abort,
    Discard,
    Dispatch,
    Effect,
    Fail,
    Fill,
    Interrupt,
    StartKernel,
    Tell,
)
from relay_kernel.core.loss import Loss
from relay_kernel.core.model import LOCAL, Phase, Policy, Run
from relay_kernel.core.records import REPLACED, Cell, Target, name_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: How often a standby's kernel may die before it is left alone until its target returns.
DEATHS = 3
#: Seconds after an interrupt in which a link that closes ends the cell: it is not waited for.
STOPPING = 3.0
#: Values that one notice names.
SHOWN = 5
OUT_OF_REACH = "interrupted while out of reach"


@dataclass
class Router:
    """Decides; never acts.

    Feed it events, perform the effects that come back in order, and call :meth:`handle_deadline`
    when :meth:`next_deadline` has passed. Times are seconds of any one monotonic clock.
    """

    names: Sequence[str]
    """All targets in order of preference. Behind ``local`` are those that are named no more."""
    policy: Policy = field(default_factory=Policy)
    primary: str = LOCAL
    epoch: int = 1
    head: int = 0
    """The last finished cell: the next cell starts from its state."""
    kept: int = 0
    """The last cell whose state is whole on the server: what a loss cannot take."""
    forced: str | None = None

    def __post_init__(self) -> None:
        self.targets = {name: Target(name) for name in self.names}
        self.queue: deque[Cell] = deque()
        self.running: Cell | None = None
        self.unkept: list[Cell] = []
        self.notices: list[str] = []
        """Lines to show in the next cell that is dispatched."""
        self.broken = ""
        """What the next cell ends with, since it was written for variables that are lost."""
        self.asking: Loss | None = None
        """A loss of which the user is asked what to do; nothing runs meanwhile."""
        self.restoring: int | None = None
        """The cell that waits for a kept state."""
        self.unkept_reason = ""
        self.stirred = 0
        """The last ``StateStirred`` that no snapshot here holds yet; 0: there is none."""
        self.stirred_until = 0
        """The cell whose snapshot holds it, whatever was ordered."""
        self._told: set[str] = set()
        self._told_of: set[tuple[str, str]] = set()
        self._stopping_until = 0.0
        self._wait_until: float | None = None
        self._handlers: dict[type, Callable[..., list[Effect]]] = {
            ev.CellSubmitted: self._cell_submitted,
            ev.CellFinished: self._cell_finished,
            ev.TargetsConfigured: self._targets_configured,
            ev.TargetOpened: self._target_opened,
            ev.TargetResumed: self._target_resumed,
            ev.LinkClosed: self._link_closed,
            ev.TargetLost: self._target_lost,
            ev.TargetRefused: self._target_refused,
            ev.KernelStarted: self._kernel_started,
            ev.KernelFailed: self._kernel_failed,
            ev.KernelDied: self._kernel_died,
            ev.SnapshotArrived: self._snapshot_arrived,
            ev.StateStirred: self._state_stirred,
            ev.SnapshotFailed: self._snapshot_failed,
            ev.ValuesLeftBehind: self._values_left_behind,
            ev.StateRestored: lambda event, now: restoring.done(self, event),
            ev.SnapshotApplied: self._snapshot_applied,
            ev.ApplyFailed: self._apply_failed,
            ev.TargetForced: self._target_forced,
            ev.OnLossChosen: self._on_loss_chosen,
            ev.Answered: self._answered,
            ev.Interrupted: self._interrupted,
        }

    # ------------------------------------------------------------------ the door

    def handle(self, event: ev.Event, now: float) -> list[Effect]:
        """Take in one event; return what to do about it, in order."""
        effects = self._handlers[type(event)](event, now)
        return [*effects, *self._advance(now)]

    def next_deadline(self) -> float | None:
        """When :meth:`handle_deadline` wants to be called; None: not before the next event."""
        deadlines = [self._wait_until] if self._wait_until is not None else []
        if self.running and self.targets[self.primary].phase is Phase.QUIET:
            deadlines.append(self.targets[self.primary].since + self.policy.lost_after)
        return min(deadlines, default=None)

    def handle_deadline(self, now: float) -> list[Effect]:
        """Time has passed; return what to do about it."""
        effects: list[Effect] = []
        primary = self.targets[self.primary]
        if (
            self.running
            and primary.phase is Phase.QUIET
            and now >= primary.since + self.policy.lost_after
        ):
            reason = f"nothing heard of it for {now - primary.since:.0f} s: {primary.reason}"
            effects += self._lose(primary.name, reason, now)
        return [*effects, *self._advance(now)]

    # ------------------------------------------------------------------ cells

    def _cell_submitted(self, event: ev.CellSubmitted, now: float) -> list[Effect]:
        cell = Cell(event.cell, event.target, event.stops, now, once=event.once)
        cell.silent, cell.restores = event.silent, event.restores
        self.queue.append(cell)
        return losses.ask(self)

    def _cell_finished(self, event: ev.CellFinished, now: float) -> list[Effect]:
        cell = self.running
        if cell is None or (cell.number, cell.epoch) != (event.cell, event.epoch):
            return []
        self.running = None
        self.head = self.targets[self.primary].applied = cell.number
        broken = cell.run is Run.SILENT and cell.ok and not event.ok
        self.unkept.append(replace(cell, ok=event.ok))
        if broken:
            # What follows must not run on a wrong state.
            text = f"{name_cells([cell])} was run again on {self.primary} and failed there."
            return losses.stop_repeating(self, "RelayTargetLost", text)
        if not event.ok and cell.stops and cell.run is not Run.SILENT:
            return self.abort_queue()
        return []

    def abort_queue(self) -> list[Effect]:
        """End all that is queued as cells behind an error end."""
        aborted = [Abort(cell.number) for cell in self.queue]
        self.queue.clear()
        return list(aborted)

    def _interrupted(self, event: ev.Interrupted, now: float) -> list[Effect]:
        if self.asking:
            loss, self.asking = self.asking, None
            return losses.stop(self, loss, error="KeyboardInterrupt")
        if self.running:
            if self.targets[self.primary].phase is Phase.QUIET:
                return self._lose(self.primary, OUT_OF_REACH, now, stopped=True)
            # Whoever carries the order finds out soon whether the link is dead: see _link_closed.
            self._stopping_until = now + STOPPING
            return [Interrupt(self.primary)]
        if not self.queue:
            return []
        if self.queue[0].run is not Run.FIRST:
            text = "interrupted before what was lost had run again."
            return losses.stop_repeating(self, "KeyboardInterrupt", text)
        cell = self.queue.popleft()
        text = f"interrupted while waiting for {cell.target or self.forced or 'a target'}"
        failed = Fail(cell.number, "KeyboardInterrupt", text)
        return [failed, *(self.abort_queue() if cell.stops else [])]

    def _answered(self, event: ev.Answered, now: float) -> list[Effect]:
        loss = self.asking
        if loss is None or loss.asked != event.cell:
            return []
        self.asking = None
        return losses.rerun(self, loss) if event.again else losses.stop(self, loss)

    # ------------------------------------------------------------------ targets

    def _targets_configured(self, event: ev.TargetsConfigured, now: float) -> list[Effect]:
        return [self._start(target) for target in naming.configure(self, event)]

    def _target_opened(self, event: ev.TargetOpened, now: float) -> list[Effect]:
        target = self.targets[event.target]
        effects: list[Effect] = []
        if target.kernel:
            effects = self._lose(target.name, "its agent was restarted", now)
        self._enter(target, Phase.LINKED, now)
        target.deaths = target.failures = 0
        return effects if target.name in naming.unnamed(self) else [*effects, self._start(target)]

    def _start(self, target: Target) -> StartKernel:
        target.starting = True
        return StartKernel(target.name)

    def _target_resumed(self, event: ev.TargetResumed, now: float) -> list[Effect]:
        target = self.targets[event.target]
        self._enter(target, Phase.READY if target.kernel else Phase.LINKED, now)
        return []

    def _link_closed(self, event: ev.LinkClosed, now: float) -> list[Effect]:
        target = self.targets[event.target]
        if target.phase in {Phase.ABSENT, Phase.QUIET}:
            target.reason = event.reason
            return []
        self._enter(target, Phase.QUIET, now, event.reason)
        if self.running and target.name == self.primary and now < self._stopping_until:
            return self._lose(target.name, OUT_OF_REACH, now, stopped=True)
        return []

    def _target_lost(self, event: ev.TargetLost, now: float) -> list[Effect]:
        return self._lose(event.target, event.reason, now)

    def _target_refused(self, event: ev.TargetRefused, now: float) -> list[Effect]:
        target = self.targets[event.target]
        target.reason = event.reason
        if event.target not in naming.unnamed(self):
            self._notice_once(f"{event.target}: {event.reason}")
        return []

    def _kernel_started(self, event: ev.KernelStarted, now: float) -> list[Effect]:
        target = self.targets[event.target]
        target.kernel, target.starting = True, False
        target.applied, target.filling, target.failures = 0, None, 0
        self._enter(target, Phase.READY, now)
        return []

    def _kernel_failed(self, event: ev.KernelFailed, now: float) -> list[Effect]:
        target = self.targets[event.target]
        target.kernel, target.starting, target.filling = False, False, None
        target.reason = event.reason
        target.failures += 1
        if event.killed and target.failures <= DEATHS:
            return [self._start(target)]
        if event.target != LOCAL:
            self._notice_once(f"{event.target}: {event.reason}")
        return []

    def _kernel_died(self, event: ev.KernelDied, now: float) -> list[Effect]:
        target = self.targets[event.target]
        target.deaths += 1
        effects = self._lose(target.name, event.reason, now, discard=False)
        self._enter(target, Phase.LINKED, now, event.reason)
        if target.deaths <= DEATHS or target.name == LOCAL:
            effects.append(self._start(target))
        return effects

    def _enter(self, target: Target, phase: Phase, now: float, reason: str = "") -> None:
        target.phase, target.since, target.reason = phase, now, reason

    def _notice_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.notices.append(text)

    # ------------------------------------------------------------------ state

    def _state_stirred(self, event: ev.StateStirred, now: float) -> list[Effect]:
        stirring.stir(self, event)
        return []

    def _snapshot_arrived(self, event: ev.SnapshotArrived, now: float) -> list[Effect]:
        stirring.settle(self, event)
        if event.anew and (event.cell, event.epoch) == (self.kept, self.epoch):
            self._outdate_standbys()
            return []
        if not any((c.number, c.epoch) == (event.cell, event.epoch) for c in self.unkept):
            return []
        # A snapshot holds everything up to its cell, so the cells before it are safe with it.
        while self.unkept and self.unkept[0].number <= event.cell:
            self.unkept.pop(0)
        self.kept = event.cell
        return []

    def _outdate_standbys(self) -> None:
        """What standbys hold, or are being filled with, is no longer the state after its cell."""
        for target in self.targets.values():
            if target.name == self.primary:
                continue
            target.outdated = True
            if target.applied == self.kept:
                target.applied = REPLACED

    def _snapshot_failed(self, event: ev.SnapshotFailed, now: float) -> list[Effect]:
        if event.epoch == self.epoch and event.cell == self.head:
            self.unkept_reason, self.stirred = event.reason, 0
            self._notice_once(f"the variables after cell {event.cell} are not safe: {event.reason}")
        return []

    def _values_left_behind(self, event: ev.ValuesLeftBehind, now: float) -> list[Effect]:
        new = [item for item in event.reasons.items() if item not in self._told_of]
        # Where there is no other target, nothing is left behind yet.
        if new and len(self.targets) > 1:
            self._told_of.update(new)
            names: dict[str, list[str]] = {}
            for name, reason in new[:SHOWN]:
                names.setdefault(reason, []).append(f"`{name}`")
            shown = "; ".join(f"{', '.join(of)}, because {why}" for why, of in names.items())
            more = f"; and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
            text = f"stays at {event.target}: {shown}{more} (see %relay vars)"
            self.notices.append(text)
        return []

    def _snapshot_applied(self, event: ev.SnapshotApplied, now: float) -> list[Effect]:
        target = self.targets[event.target]
        if target.filling is not None:
            target.applied = REPLACED if target.outdated else event.cell
            target.filling = None
        return []

    def _apply_failed(self, event: ev.ApplyFailed, now: float) -> list[Effect]:
        target = self.targets[event.target]
        if target.filling is None:
            return []
        # A kernel that could not take a state is in doubt: only a new one is known to be empty.
        target.filling, target.kernel = None, False
        self._notice_once(f"{target.name} could not take over the variables: {event.reason}")
        return self._kernel_died(ev.KernelDied(target.name, event.reason), now)

    def _refill(self, now: float) -> list[Effect]:
        """Give every kernel that may be filled now the state it ought to hold and does not."""
        effects: list[Effect] = []
        for target in self.targets.values():
            is_primary = target.name == self.primary
            if not target.kernel or target.phase is Phase.QUIET or (is_primary and self.running):
                continue
            # The primary lacks its own head only where its kernel is new; the head is safe then.
            wanted = self.head if is_primary else self.kept
            if target.filling is None and target.applied != wanted:
                target.filling, target.outdated = wanted, False
                effects.append(Fill(target.name, wanted))
            phase = Phase.READY if target.filling is None else Phase.FILLING
            if target.phase is not phase:
                self._enter(target, phase, now)
        return effects

    # ------------------------------------------------------------------ choices

    def _target_forced(self, event: ev.TargetForced, now: float) -> list[Effect]:
        self.forced = event.target
        return []

    def _on_loss_chosen(self, event: ev.OnLossChosen, now: float) -> list[Effect]:
        self.policy = replace(self.policy, on_loss=event.on_loss)
        return []

    def _advance(self, now: float) -> list[Effect]:
        """Refill standbys and dispatch the next cell, as far as that goes without another event."""
        effects: list[Effect] = []
        for name in naming.given_up(self):
            effects += self._lose(name, naming.TAKEN_OUT, now)
        effects += [*self._refill(now), *losses.refuse_next(self)]
        self._wait_until = None
        restoring.forget(self)
        while self.queue and not self.running and not self.asking:
            cell = self.queue[0]
            if cell.restores:
                more, self._wait_until = restoring.begin(self, cell, now)
                return [*effects, *more]
            match stirring.patient(self, cell, choose(self, cell, now), now):
                case Go(target, reason):
                    effects += self._dispatch(self.queue.popleft(), target, reason)
                    effects += self._refill(now)
                case Wait(until):
                    self._wait_until = until
                    break
                case Lose(target, reason):
                    effects += self._lose(target, reason, now)
                    effects += [*self._refill(now), *losses.refuse_next(self)]
                case Refuse(text):
                    self.queue.popleft()
                    effects.append(Fail(cell.number, "RelayTargetUnavailable", text))
                    effects += self.abort_queue() if cell.stops else []
                    effects += self._retry_local()
        return effects

    def _retry_local(self) -> list[Effect]:
        """Where there is no kernel at all, each cell that is sent is a wish to try again."""
        local = self.targets[LOCAL]
        if local.kernel or local.starting or local.phase is Phase.ABSENT:
            return []
        return [self._start(local)]

    def _dispatch(self, cell: Cell, target: str, reason: str) -> list[Effect]:
        effects: list[Effect] = []
        if target != self.primary:
            stirring.leave(self, f"the notebook moved from {self.primary} to {target}")
            self.primary = target
            self.epoch += 1
        self.unkept_reason = ""
        self.running = replace(cell, epoch=self.epoch)
        effects.append(Dispatch(cell.number, target, self.epoch, cell.run, reason))
        if cell.run is Run.FIRST and not cell.silent:
            effects += [Tell(cell.number, text) for text in self.notices]
            self.notices.clear()
        return effects

    # ------------------------------------------------------------------ loss

    def _lose(
        self, name: str, reason: str, now: float, *, discard: bool = True, stopped: bool = False
    ) -> list[Effect]:
        """Give up what a target held; put the state back to the last safe one if it was primary."""
        target = self.targets[name]
        target.kernel, target.starting = False, False
        target.filling, target.applied = None, 0
        self._enter(target, Phase.ABSENT, now, reason)
        effects: list[Effect] = [Discard(name)] if discard else []
        if name != self.primary:
            return effects
        stirring.leave(self, f"{name} was lost")
        loss = Loss(name, reason, self.kept, self.unkept, self.running)
        self.unkept, self.running = [], None
        self.head = self.kept
        self.primary = LOCAL
        self.epoch += 1
        if stopped:
            return [*effects, *losses.stop(self, loss, error="KeyboardInterrupt")]
        return [*effects, *losses.settle(self, loss)]
