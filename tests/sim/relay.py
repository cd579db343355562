"""R, as ``relay_kernel.kernel.relay`` has it: carries messages, does what the router decides."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from relay_kernel.core import effects as ef
from relay_kernel.core import events as ev
from relay_kernel.core.fence import terms
from relay_kernel.core.model import LOCAL, Run
from relay_kernel.wire.message import Message
from tests.sim.mover import Mover
from tests.sim.target import Callbacks, LocalTarget, RemoteTarget, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.core.shown import Shown as Outputs
    from tests.sim.agent import Machine
    from tests.sim.clock import Timer
    from tests.sim.history import History


@dataclass(frozen=True)
class Shown:
    """Something that front ends see of a cell."""

    cell: int
    kind: str
    """busy, execute_input, stream, reply, idle."""
    text: str = ""
    """The lines of a stream, the status of a reply."""
    kernel: int | None = None
    """Which kernel said so; None: R itself."""
    execution: int | None = None


@dataclass
class Cell:
    """One execute_request, as in ``cells.py``."""

    number: int
    outputs: Outputs
    target: str = ""
    epoch: int = 0
    run: Run = Run.FIRST
    busy: bool = False
    replied: bool = False
    idle: bool = False
    ended: bool = False
    sent_at: float = 0.0
    untold: list[str] = field(default_factory=list)


class Relay:
    """One notebook."""

    def __init__(self, history: History, machines: list[Machine], known: list[Machine]) -> None:
        self.history = history
        self.process = history.r
        self.router = history.parts.router([*(m.target for m in known), LOCAL], history.policy)
        self.cells: dict[int, Cell] = {}
        self.asked: int | None = None
        self.kernels: dict[str, int] = {}
        """By target: the kernel that R takes to be there."""
        callbacks = Callbacks(self.emit, self.report)
        self.local = LocalTarget(history, callbacks)
        self.remote = [RemoteTarget(machine, history, callbacks) for machine in machines]
        """To all that there will be."""
        links = [*(link for link in self.remote if link.machine in known), self.local]
        self.links: dict[str, Target] = {link.name: link for link in links}
        self.mover = Mover(self.process, history.chunks, self.links, self.emit)
        self._timer: Timer | None = None
        self._start_later: list[str] = []
        self._effects: dict[type, Callable[[Any], None]] = {
            ef.Dispatch: self._dispatch,
            ef.Fail: self._fail,
            ef.Abort: self._abort,
            ef.Tell: lambda effect: self._tell(self.cells[effect.cell], effect.text),
            ef.Ask: self._ask,
            ef.StartKernel: lambda effect: self._start_kernel(effect.target),
            ef.Fill: lambda effect: self.mover.fill(effect.target),
            ef.Interrupt: lambda effect: self.links[effect.target].interrupt(),
            ef.Discard: self._discard,
        }
        self._reports: dict[str, Callable[[str, Message], None]] = {
            "frames": self._on_frames,
            "started": self._on_started,
            "failed": self._on_failed,
            "died": self._on_died,
            "captured": self._on_captured,
            "uncaptured": self._on_uncaptured,
            "applied": lambda t, m: self.mover.applied(t, m.head),
            "unapplied": lambda t, m: self.mover.unapplied(t, m.head),
            "want": lambda t, m: self.mover.wanted(t, m.head["keys"]),
            "chunk": self.mover.chunk,
        }

    def run(self) -> None:
        for link in self.links.values():
            link.run()

    def add(self, machine: Machine) -> None:
        """A person has added a PC."""
        (link,) = [link for link in self.remote if link.machine is machine]
        self.links[link.name] = link
        self.mover.connect(link.name)
        self.configure([target.name for target in self.remote])
        link.run()

    def configure(self, names: list[str]) -> None:
        """A person has named some of the targets, in this order."""
        known = tuple(name for name in names if name in self.links)
        self.emit(ev.TargetsConfigured(known))

    # ------------------------------------------------------------------ the router

    def emit(self, event: ev.Event) -> None:
        self.history.log(f"event {event}")
        self.history.before(event)
        self._perform(self.router.handle(event, self.process.clock.now))

    def _perform(self, effects: list[ef.Effect]) -> None:
        for effect in effects:
            self.history.log(f"  effect {effect}")
            self.history.performed(effect)
            self._effects[type(effect)](effect)
        if self.router.asking is None:
            self.asked = None
        self._arm()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        deadline = self.router.next_deadline()
        if deadline is not None:
            self._timer = self.process.later(deadline - self.process.clock.now, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.history.before(None)
        self._perform(self.router.handle_deadline(self.process.clock.now))

    def report(self, target: str, message: Message) -> None:
        self._reports[message.kind](target, message)

    # ------------------------------------------------------------------ requests

    def execute(self, number: int) -> None:
        """A front end sent a cell."""
        program = self.history.programs[number]
        self.cells[number] = Cell(number, self.history.parts.shown())
        self.history.oracle.submitted(number)
        self.emit(ev.CellSubmitted(number, program.target, program.stops, program.once))

    def interrupt(self) -> None:
        self.emit(ev.Interrupted())

    def answer(self, cell: int, again: bool) -> None:
        """The user answered the question in a cell, if it still stands."""
        if self.asked == cell:
            self.asked = None
            self.history.oracle.yes += again
            self.emit(ev.Answered(cell, again))

    # ------------------------------------------------------------------ effects

    def _show(self, cell: Cell, kind: str, text: str = "", **origin: Any) -> None:
        self.history.log(f"    shown in cell {cell.number}: {kind} {text!r}")
        self.history.oracle.shown(Shown(cell.number, kind, text, **origin))

    def _dispatch(self, effect: ef.Dispatch) -> None:
        cell = self.cells[effect.cell]
        cell.target, cell.epoch, cell.run = effect.target, effect.epoch, effect.run
        cell.ended, cell.sent_at = False, self.process.clock.now
        if effect.run is Run.AGAIN:
            cell.outputs.again()
        head = {"channel": "shell", "cell": cell.number, "epoch": cell.epoch}
        self.links[cell.target].send(Message("frames", head))

    def _fail(self, effect: ef.Fail) -> None:
        cell = self.cells[effect.cell]
        self._begin(cell)
        self._show(cell, "error", effect.name)
        self.history.oracle.told(effect.text)
        self._end(cell, effect.name)

    def _abort(self, effect: ef.Abort) -> None:
        cell = self.cells[effect.cell]
        self._begin(cell)
        self._end(cell, "aborted")

    def _begin(self, cell: Cell) -> None:
        if not cell.busy:
            cell.busy = True
            self._show(cell, "busy")
        self._tell_rest(cell)

    def _end(self, cell: Cell, status: str) -> None:
        cell.ended = True
        if not cell.replied:
            cell.replied = True
            self._show(cell, "reply", status)
        if not cell.idle:
            cell.idle = True
            self._show(cell, "idle")

    def _tell(self, cell: Cell, text: str) -> None:
        cell.untold.append(text)
        if cell.busy:
            self._tell_rest(cell)

    def _tell_rest(self, cell: Cell) -> None:
        lines, cell.untold = cell.untold, []
        for line in lines:
            self.history.oracle.told(line)

    def _ask(self, effect: ef.Ask) -> None:
        self._begin(self.cells[effect.cell])
        self.asked = effect.cell
        self.history.asked(effect.cell)

    def _start_kernel(self, target: str) -> None:
        self._give_up(target)
        self.mover.forget(target)
        if target != LOCAL and LOCAL not in self.kernels:
            self._start_later.append(target)
            return
        lease = None if target == LOCAL else asdict(terms(self.history.policy))
        self.links[target].send(Message("start", {"epoch": self.router.epoch, "lease": lease}))

    def _discard(self, effect: ef.Discard) -> None:
        target = effect.target
        if target in self._start_later:
            self._start_later.remove(target)
        self.links[target].discard()
        self._forget_kernel(target)

    def _forget_kernel(self, target: str) -> None:
        """It is dead, or given up."""
        self._give_up(target)
        self.mover.forget(target)
        for cell in self.cells.values():
            # Its reply came; its idle never will.
            if cell.target == target and cell.replied and not cell.idle:
                self._end(cell, "ok")

    def _give_up(self, target: str) -> None:
        lost = self.kernels.pop(target, None)
        if lost is not None:
            self.history.oracle.given_up.add(lost)

    # ------------------------------------------------------------------ reports

    def _on_started(self, target: str, message: Message) -> None:
        self.kernels[target] = message.head["kernel"]
        if target == LOCAL:
            later, self._start_later = self._start_later, []
            for name in later:
                self._start_kernel(name)
        self.emit(ev.KernelStarted(target))

    def _on_failed(self, target: str, message: Message) -> None:
        self._forget_kernel(target)
        self.emit(ev.KernelFailed(target, message.head["reason"]))

    def _on_died(self, target: str, message: Message) -> None:
        self._forget_kernel(target)
        self.emit(ev.KernelDied(target, message.head["reason"]))

    def _on_captured(self, target: str, message: Message) -> None:
        if message.head["epoch"] == self.router.epoch and target == self.router.primary:
            self.mover.captured(target, message)

    def _on_uncaptured(self, target: str, message: Message) -> None:
        head = message.head
        self.emit(ev.SnapshotFailed(head["epoch"], head["cell"], head["reason"]))

    def _on_frames(self, target: str, message: Message) -> None:
        head = message.head
        cell = self.cells[head["cell"]]
        if cell.target != target or cell.ended:
            return
        if head["type"] == "reply":
            self._on_reply(target, head, cell)
        else:
            self._on_iopub(head, cell)

    def _on_reply(self, target: str, head: dict[str, Any], cell: Cell) -> None:
        if head["epoch"] != cell.epoch:
            return
        if not cell.replied:
            cell.replied = True
            origin = {"kernel": head["kernel"], "execution": head["execution"]}
            self._show(cell, "reply", head["status"], **origin)
        self.emit(ev.CellFinished(target, cell.epoch, cell.number, head["status"] == "ok"))

    def _on_iopub(self, head: dict[str, Any], cell: Cell) -> None:
        if cell.run is Run.SILENT:
            return
        kind = head["type"]
        is_state = kind in {"busy", "idle"}
        content = {"execution_state": kind} if is_state else {"name": "stdout", **head}
        new = cell.outputs.new("status" if is_state else kind, content)
        if new is None or (kind == "idle" and cell.idle) or (kind == "busy" and cell.busy):
            return
        cell.idle = cell.idle or kind == "idle"
        cell.busy = cell.busy or kind == "busy"
        self._show(cell, kind, new.get("text", ""), kernel=head["kernel"])
        if kind == "execute_input":
            self._tell_rest(cell)
            self._answer_directive(cell)

    def _answer_directive(self, cell: Cell) -> None:
        directive = self.history.programs[cell.number].directive
        if directive is None:
            return
        what, value = directive
        if what == "force":
            self.emit(ev.TargetForced(value))
        else:
            self.history.policies.add(value)
            self.emit(ev.OnLossChosen(value))  # type: ignore[arg-type]
