"""Programs at both ends, power cuts, and every step of the loop, in any order: nothing is lost.

After "Mysteries of Dropbox" (Hughes, Pierce, Arts, Norell, 2016). A *value* is the content of one
write; each write makes a new one. An operation *sees* the values that lie, at its own end and at
that moment, at the paths that it replaces or removes (a folder: and below). A value is due from the
write that made it until some operation saw it, or the only disk that had it loses it with the
power. Once the loop has settled, both ends are equal and have every value that is due, at whatever
path. What lies in the trash does not count.
"""

from __future__ import annotations

import os
from itertools import islice

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.core.ends import is_whole
from tests.core.plane import (
    CheckThenWrite,
    DeletionWins,
    EarlyBase,
    Machine,
    NoCopyFirst,
    Plane,
    PlanOutlivesPower,
    SourceNotFlushed,
)

SLOW = "RELAY_SLOW" in os.environ
PATHS = [b"a", b"a/b", b"a/c", b"d"]

ENDS = st.sampled_from(["server", "target"])
#: Which of the paths, and of the copies that were made since.
PLACES = st.integers(min_value=0, max_value=7)


class LostError(AssertionError):
    """A value that is due is not there any more."""


class UnsettledError(AssertionError):
    """The ends are not equal when they should be."""


class TornError(AssertionError):
    """An end shows a file that is still being written at the other."""


class Programs(RuleBasedStateMachine):
    """Two homes, with programs that read nothing but what they replace."""

    plane_class: type[Plane] = Plane

    def __init__(self) -> None:
        super().__init__()
        self.plane = self.plane_class()
        self.due: set[bytes] = set()
        self.count = 0
        self.torn: set[bytes] = set()

    def end(self, name: str) -> Machine:
        return self.plane.server if name == "server" else self.plane.target

    def value(self, kind: str, end: str) -> bytes:
        self.count += 1
        return f"{kind}-{end}-{self.count}".encode()

    def place(self, end: str, number: int) -> bytes:
        tree = self.end(end).tree
        places = [*PATHS, *sorted(path for path in tree if path not in PATHS)]
        return places[number % len(places)]

    def values(self) -> set[bytes]:
        return {what.content for end in self.plane.ends for what in end.tree.values()}

    @rule(end=ENDS, place=PLACES)
    def write(self, end: str, place: int) -> None:
        value = self.value("value", end)
        self.due -= self.end(end).write(self.place(end, place), value)
        self.due.add(value)

    @rule(end=ENDS, place=PLACES)
    def begin_to_write(self, end: str, place: int) -> None:
        path = self.place(end, place)
        self.due -= self.end(end).write(path, self.value("torn", end))
        self.end(end).open.add(path)

    @precondition(lambda self: self.plane.server.open or self.plane.target.open)
    @rule()
    def end_writing(self) -> None:
        for end in self.plane.ends:
            for path in sorted(end.open):
                end.open.discard(path)
                value = self.value("value", end.name)
                end.write(path, value)
                self.due.add(value)

    @rule(end=ENDS, place=PLACES)
    def delete(self, end: str, place: int) -> None:
        self.due -= self.end(end).remove(self.place(end, place))

    @rule(end=ENDS, place=PLACES, to=PLACES)
    def rename(self, end: str, place: int, to: int) -> None:
        machine, old, new = self.end(end), self.place(end, place), self.place(end, to)
        what = machine.tree.get(old)
        if what is None or not what.content or old in machine.open or new.startswith(old):
            return
        machine.remove(old)
        self.due -= machine.write(new, what.content)

    @rule(end=ENDS)
    def everything_reaches_the_disk(self, end: str) -> None:
        self.end(end).flush([*self.end(end).tree, *self.end(end).disk])

    @rule(end=ENDS, luck=st.integers(min_value=0, max_value=3**6))
    def cut_power(self, end: str, luck: int) -> None:
        self.torn.update(what.content for what in self.end(end).tree.values())
        before = self.values()
        self.plane.cut_power(self.end(end), luck)
        self.due -= before - self.values()

    @rule(end=ENDS)
    def scan(self, end: str) -> None:
        self.end(end).scan()

    @rule()
    def plan(self) -> None:
        self.plane.plan()

    @rule()
    def look_and_plan(self) -> None:
        for end in self.plane.ends:
            end.scan()
        self.plane.plan()

    @precondition(lambda self: any(self.plane.todo.values()))
    @rule(end=ENDS, times=st.integers(min_value=1, max_value=4))
    def apply(self, end: str, times: int) -> None:
        for _time in range(times):
            self.plane.apply_next(self.end(end))

    @precondition(lambda self: any(self.plane.todo.values()))
    @rule(end=ENDS)
    def apply_without_room(self, end: str) -> None:
        self.plane.apply_next(self.end(end), room=False)

    @precondition(lambda self: bool(self.plane.current))
    @rule(end=ENDS)
    def flush(self, end: str) -> None:
        self.plane.flush(self.end(end))

    @precondition(lambda self: self.plane.may_record() and bool(self.plane.current))
    @rule()
    def record(self) -> None:
        self.plane.record()

    @rule()
    def save_base(self) -> None:
        self.plane.save_base()

    @rule()
    def stabilize(self) -> None:
        self.end_writing()
        if len(list(islice(self.plane.settle(), 3))) > 1:
            raise UnsettledError("one undisturbed round does not do")
        server, target = self.plane.ends
        if not server.tree == target.tree == self.plane.base:
            raise UnsettledError("the ends are not equal")
        lost = self.due - {what.content for what in server.tree.values()}
        if lost:
            raise LostError(f"nothing saw {lost}, and it is gone")

    def teardown(self) -> None:
        self.stabilize()

    @invariant()
    def no_half_file_crosses(self) -> None:
        for end, other in (self.plane.ends, self.plane.ends[::-1]):
            for what in end.tree.values():
                half = what.content.startswith(f"torn-{other.name}".encode())
                if half and what.content not in self.torn:
                    raise TornError(f"{end.name} shows what {other.name} is still writing")

    @invariant()
    def trees_are_whole(self) -> None:
        for end in self.plane.ends:
            assert is_whole(end.tree)
            assert is_whole(end.disk)
            assert is_whole(end.picture or {})
        assert is_whole(self.plane.base)


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(
    max_examples=10_000 if SLOW else 300,
    stateful_step_count=60 if SLOW else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize(
    "wrong",
    [
        EarlyBase,
        SourceNotFlushed,
        DeletionWins,
        CheckThenWrite,
        PlanOutlivesPower,
        NoCopyFirst,
    ],
)
def test_a_loop_that_breaks_a_promise_is_found(wrong: type[Plane]) -> None:
    class Wrong(Programs):
        plane_class = wrong

    thorough = settings(
        max_examples=5_000,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    with pytest.raises(LostError):
        run_state_machine_as_test(Wrong, settings=thorough)
