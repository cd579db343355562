"""A kernel, as far as its agent can tell: it runs cells, is captured after each, takes states over.

What a cell does to the variables is to append its number: the order and the number of all effects
can be read from any state, and told from those of a single kernel.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.sim.clock import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.clock import Timer
    from tests.sim.history import History

State = tuple[tuple[int, int], ...]
"""The cells that had an effect: the number of the cell, and of the execution."""


@dataclass
class Program:
    """The code of one cell."""

    number: int
    lines: int
    seconds: float
    raises: bool = False
    """In every run."""
    fails_again: bool = False
    """In its second run and later."""
    deaf: float = 0.0
    """Seconds that pass before it notices an interrupt."""
    size: int = 100
    """Bytes of its effect."""
    once: bool = False
    stops: bool = True
    target: str | None = None
    directive: tuple[str, str | None] | None = None

    @property
    def output(self) -> str:
        return "".join(f"{self.number}:{i}\n" for i in range(self.lines))


@dataclass
class Execution:
    """One run of a cell in one kernel."""

    id: int
    cell: int
    epoch: int
    kernel: Kernel
    before: State
    printed: str = ""
    replied: bool = False
    timers: list[Any] = field(default_factory=list)


class Kernel(Process):
    """A process of a target.

    Args:
        say: takes what it says: kind, and fields.
    """

    def __init__(self, history: History, target: str, say: Callable[..., None]) -> None:
        history.kernel_ids += 1
        self.id = history.kernel_ids
        super().__init__(history.clock, f"kernel {self.id} at {target}")
        self.history = history
        self.chance = history.chance
        self.target = target
        self.state: State = ()
        self.running: Execution | None = None
        self.busy = False
        """With a capture or an apply."""
        self.orphan = False
        """Its agent is dead: nobody can stop it, nobody hears it."""
        self.unheld_until = 0.0
        """Till then its agent could not have stopped it."""
        self.released = False
        """The user gave it up while it was out of reach."""
        self.agent: Process | None = None
        self._capture: Timer | None = None
        self._say = say
        self._queue: deque[Callable[[], None]] = deque()
        history.kernels.append(self)

    @property
    def is_active(self) -> bool:
        """Whether it runs a cell at this very moment."""
        return self.awake and self.running is not None

    @property
    def unruly(self) -> bool:
        """Whether no lease could hold it now."""
        agent_up = self.agent is not None and self.agent.awake
        late = self.clock.now < self.unheld_until
        return self.orphan or self.released or not agent_up or late

    def say(self, kind: str, **fields: Any) -> None:
        """Over ZeroMQ: the agent hears it a moment later, if it is there."""
        agent = self.agent
        if agent is not None:
            agent.take(lambda: self._say(kind, kernel=self.id, **fields))

    # ------------------------------------------------------------------ requests

    def execute(self, cell: int, epoch: int) -> None:
        self.take(lambda: self._put(lambda: self._start(cell, epoch)))

    def apply(self, cell: int, manifest: bytes) -> None:
        self.take(lambda: self._put(lambda: self._apply(cell, manifest)))

    def _put(self, do: Callable[[], None]) -> None:
        self._queue.append(do)
        self._next()

    def _next(self) -> None:
        if self._queue and not self.running and not self.busy:
            self._queue.popleft()()

    def _start(self, cell: int, epoch: int) -> None:
        history, program = self.history, self.history.programs[cell]
        history.execution_ids += 1
        run = Execution(history.execution_ids, cell, epoch, self, self.state)
        self.running = run
        history.log(f"{self.name}: cell {cell} starts (run {run.id}, epoch {epoch})")
        history.oracle.started(run)
        history.oracle.active(self)
        self.state = (*self.state, (cell, run.id))
        self.say("busy", cell=cell)
        self.say("execute_input", cell=cell)
        again = len(history.oracle.executions[cell]) > 1
        fails = program.raises or (program.fails_again and again)
        lines = program.lines // 2 if fails else program.lines
        step = program.seconds / (lines + 1)
        for i in range(lines):
            run.timers.append(self.later(step * (i + 1), lambda i=i: self._print(run, i)))
        run.timers.append(self.later(program.seconds, lambda: self._end(run, not fails)))

    def _print(self, run: Execution, line: int) -> None:
        text = f"{run.cell}:{line}\n"
        run.printed += text
        self.say("stream", cell=run.cell, text=text)

    def _end(self, run: Execution, ok: bool) -> None:
        for timer in run.timers:
            timer.cancel()
        self.running, self.busy = None, True
        run.replied = True
        self.history.log(f"{self.name}: cell {run.cell} ends ({'ok' if ok else 'error'})")
        status = "ok" if ok else "error"
        fields = {"cell": run.cell, "execution": run.id}
        # Two sockets: either may be heard first.
        first, second = self.chance.sample(["reply", "idle"], 2)
        self.say(first, status=status, **fields)
        if first == "reply" and self.chance.random() < self.history.wildness.dies_at_reply:
            self.history.tally["kernel died before its idle"] += 1
            self.history.weather.end_kernel(self)
            return
        self.say(second, status=status, **fields)
        seconds = self.chance.choice([0.001, 0.01, 0.1, self.history.wildness.slow_capture])
        self._capture = self.later(seconds, lambda: self._captured(run.cell))

    def _captured(self, cell: int, reason: str = "") -> None:
        self._capture = None
        self.busy = False
        if not reason and self.chance.random() < self.history.wildness.bad_capture:
            self.history.tally["failed capture"] += 1
            reason = "it could not be packed"
        if reason:
            self.say("captured", cell=cell, reason=reason)
        else:
            chunks = {f"{n}.{e}": self.history.programs[n].size for n, e in self.state}
            self.say("captured", cell=cell, chunks=chunks, manifest=json.dumps(self.state).encode())
        self._next()

    def interrupt(self) -> None:
        self.take(self._interrupted)

    def _interrupted(self) -> None:
        run = self.running
        if run:
            deaf = self.history.programs[run.cell].deaf
            run.timers.append(
                self.later(deaf, lambda: self.running is run and self._end(run, False))
            )
        elif self._capture:
            self.history.tally["interrupt in capture"] += 1
            self._capture.cancel()
            self._captured(self.state[-1][0], "it was interrupted")

    def _apply(self, cell: int, manifest: bytes) -> None:
        self.busy = True
        bad = self.chance.random() < self.history.wildness.bad_apply
        seconds = self.chance.choice([0.005, 0.05, self.history.wildness.slow_apply])

        def done() -> None:
            self.busy = False
            if bad:
                self.history.tally["failed apply"] += 1
                self.say("applied", cell=cell, reason="it could not be put in place")
            else:
                self.state = tuple((n, e) for n, e in json.loads(manifest))
                self.say("applied", cell=cell)
            self._next()

        self.later(seconds, done)

    # ------------------------------------------------------------------ its process

    def look(self) -> None:
        """See whether it runs where it must not."""
        if self.is_active:
            self.history.oracle.active(self)

    def _catch_up(self, *, timers_first: bool) -> None:
        self.look()
        super()._catch_up(timers_first=timers_first)

    def kill(self) -> None:
        if self.running or self.busy:
            self.history.log(f"{self.name}: killed")
        super().kill()
