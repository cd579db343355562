"""What must hold, judged by what the user sees and by what kernels really did."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.history import History
    from tests.sim.kernel import Execution, Kernel
    from tests.sim.relay import Shown

#: What R says of finished cells whose work is gone.
_LOST = re.compile(r"What cells? ([\d, ]+) did is lost")


class Rule(Enum):
    """What a history may break."""

    ANSWERED = "every cell is answered exactly once: busy, reply, idle"
    IN_TIME = "no cell and no interrupt waits longer than it may"
    ONE_PLACE = "no cell runs on two targets in one epoch"
    ALONE = "no two targets run cells at one instant"
    LINES = "every line of a cell is shown exactly once, in order"
    MESSAGES = "no message is lost or doubled"
    STATE = "a cell starts from all that finished before it and was not declared lost"
    ONCE = "a cell with %%relay once starts at most once"
    ABORTS = "an error ends the cells queued behind it, as in any notebook"
    STOP = "nothing runs again that was not to"
    FENCED = "what was given up changes nothing"


class Broken(Exception):  # noqa: N818
    """A rule was broken."""

    def __init__(self, rule: Rule, text: str) -> None:
        super().__init__(f"{rule.name}: {text}")
        self.rule = rule


@dataclass
class Seen:
    """What front ends have seen of one cell."""

    busy: int = 0
    replies: list[str] = field(default_factory=list)
    idle: int = 0
    lines: str = ""
    execution: Execution | None = None
    """The run whose reply was shown."""


class Oracle:
    """Watches one history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.seen: dict[int, Seen] = {}
        self.finished: list[int] = []
        """The cells that the user saw finish in a kernel and that were not declared lost."""
        self.executions: dict[int, list[Execution]] = {}
        self.given_up: set[int] = set()
        """Kernels that R has given up."""
        self.yes = 0
        """How often the user wanted something to be run again."""
        self._doomed: set[int] = set()
        """Cells that were queued behind an error."""
        self._places: dict[int, str] = {}

    # ------------------------------------------------------------------ what kernels do

    def submitted(self, number: int) -> None:
        self.seen[number] = Seen()

    def started(self, execution: Execution) -> None:
        number, kernel = execution.cell, execution.kernel
        runs = self.executions.setdefault(number, [])
        place = self._places.setdefault(execution.epoch, kernel.target)
        if place != kernel.target:
            text = f"epoch {execution.epoch} ran on {place} and on {kernel.target}"
            raise Broken(Rule.ONE_PLACE, text)
        if runs and self.history.programs[number].once:
            raise Broken(Rule.ONCE, f"cell {number} started {len(runs) + 1} times")
        if runs and "rerun" not in self.history.policies and len(runs) > self.yes:
            raise Broken(Rule.STOP, f"cell {number} started {len(runs) + 1} times")
        runs.append(execution)

    def active(self, kernel: Kernel) -> None:
        """A kernel begins, or goes on, to run a cell."""
        for other in self.history.kernels:
            both = {kernel.target, other.target}
            if len(both) == 2 and other.is_active and not (kernel.unruly or other.unruly):
                raise Broken(Rule.ALONE, f"{kernel.name} and {other.name} both run a cell")

    # ------------------------------------------------------------------ what the user sees

    def shown(self, what: Shown) -> None:
        """R showed something in a cell."""
        seen = self.seen[what.cell]
        if what.kernel is not None and what.kernel in self.given_up:
            raise Broken(Rule.FENCED, f"{what.kind} of cell {what.cell} came from a lost kernel")
        # A kernel says both on sockets of their own: its idle may be heard before its reply.
        if seen.idle and (seen.replies or what.kind == "idle"):
            raise Broken(Rule.ANSWERED, f"{what.kind} after the idle of cell {what.cell}")
        if what.kind == "busy":
            seen.busy += 1
        elif not seen.busy and what.kind != "reply":
            raise Broken(Rule.ANSWERED, f"{what.kind} before the busy of cell {what.cell}")
        elif what.kind == "stream":
            seen.lines += what.text
        elif what.kind == "idle":
            seen.idle += 1
        elif what.kind == "reply":
            self._replied(what, seen)
        if seen.busy > 1 or len(seen.replies) > 1:
            raise Broken(Rule.ANSWERED, f"a second {what.kind} of cell {what.cell}")

    def told(self, text: str) -> None:
        """R said something in its own name."""
        for numbers in _LOST.findall(text):
            for number in numbers.split(","):
                if int(number) in self.finished:
                    self.finished.remove(int(number))
                    self.history.tally["declared lost"] += 1

    def _replied(self, what: Shown, seen: Seen) -> None:
        seen.replies.append(what.text)
        if what.cell in self._doomed and what.text != "aborted":
            raise Broken(Rule.ABORTS, f"cell {what.cell} ends with {what.text}, not aborted")
        if what.text not in {"ok", "aborted"} and self.history.programs[what.cell].stops:
            self._doomed |= {number for number, one in self.seen.items() if not one.replies}
        if what.execution is None:
            return
        execution = next(e for e in self.executions[what.cell] if e.id == what.execution)
        seen.execution = execution
        before = [number for number, _ in execution.before]
        if before != self.finished:
            text = f"cell {what.cell} started from {before}, not from {self.finished}"
            raise Broken(Rule.STATE, text)
        self.finished.append(what.cell)

    # ------------------------------------------------------------------ at the end

    def check_cell(self, number: int) -> None:
        """Everything that must be true of a cell when all is over."""
        seen = self.seen[number]
        if not (seen.busy and seen.replies and seen.idle):
            raise Broken(Rule.ANSWERED, f"cell {number} was never answered: {seen}")
        output = self.history.programs[number].output
        printed = [run.printed for run in self.executions.get(number, [])]
        if not output.startswith(seen.lines) or len(seen.lines) > max(map(len, printed), default=0):
            raise Broken(Rule.LINES, f"cell {number} showed {seen.lines!r} of {printed}")
        if seen.execution and not seen.lines.startswith(seen.execution.printed):
            text = f"cell {number} showed {seen.lines!r} of {seen.execution.printed!r}"
            raise Broken(Rule.LINES, text)

    def check_end(self) -> None:
        """Everything that must be true when all is over; the last cell has looked at the state."""
        for number in self.seen:
            self.check_cell(number)
        for number, count in Counter(self.finished).items():
            if count > 1:
                raise Broken(Rule.STATE, f"cell {number} finished twice")
