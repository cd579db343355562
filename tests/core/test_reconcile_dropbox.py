"""Programs at both ends, power cuts, and every step of the loop, in any order: nothing is lost.

After "Mysteries of Dropbox" (Hughes, Pierce, Arts, Norell, 2016). A *value* is the content of one
write; each write makes a new one. An operation *sees* the values that lie, at its own end and at
that moment, at the paths that it replaces or removes (a folder: and below). A value is due from the
write that made it until some operation saw it, or the only disk that had it loses it with the
power. (Content is all that is looked at: a path that becomes again what both ends last had there,
by an editor's undo, say, counts as not touched, as for any engine of this kind.) Once the loop has
settled, both ends are equal and have every value that is due, at whatever path. What lies in the
trash does not count.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.core.ends import is_whole
from tests.core.plane import Machine, Plane

SLOW = "RELAY_SLOW" in os.environ
PATHS = [b"a", b"a/b", b"d"]

ENDS = st.sampled_from(["server", "target"])
#: Which of the paths, and of the copies that were made since.
PLACES = st.integers(min_value=0, max_value=5)
STAGES = st.sampled_from(["looking", "planned", "ordered", "made"])
#: For each step, whether the disk has room: without it, what is new is refused.
ROOMS = st.lists(st.sampled_from([True, True, False]), max_size=5)


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
        self.displaced: list[tuple[str, bytes, bytes]] = []
        self.torn: set[bytes] = set()

    @initialize(places=st.lists(PLACES, max_size=4))
    def begin(self, places: list[int]) -> None:
        for place in places:
            self.write("server", place)
        self.stabilize()

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

    def put(self, end: str, path: bytes, value: bytes) -> None:
        """A program writes ``value``, one that is new or one that it knows."""
        is_new = value not in self.values()
        self.remember(end, path)
        self.due -= self.end(end).write(path, value)
        if is_new:
            self.due.add(value)
        self.forgive(end, path)

    def remember(self, end: str, path: bytes) -> None:
        what = self.end(end).tree.get(path)
        if what is not None and what.content in self.due:
            self.displaced.append((end, path, what.content))

    def forgive(self, end: str, path: bytes) -> None:
        """What is as both ends last had it, or as the other was seen, was not written.

        For all that anybody can see, that is, who looks at contents.
        """
        what = self.end(end).tree.get(path)
        others = [other.picture or {} for other in self.plane.ends if other.name != end]
        for tree in (self.plane.known_to_both(), *others):
            if what is not None and path in tree and tree[path].content == what.content:
                self.due.discard(what.content)

    @rule(end=ENDS, place=PLACES)
    def write(self, end: str, place: int) -> None:
        self.put(end, self.place(end, place), self.value("value", end))

    @precondition(lambda self: self.displaced)
    @rule(ago=st.integers(min_value=0, max_value=1))
    def undo(self, ago: int) -> None:
        """A program puts back what it replaced or removed a while ago."""
        end, path, value = self.displaced[-1 - ago % len(self.displaced)]
        self.put(end, path, value)

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
                self.put(end.name, path, self.value("value", end.name))

    @rule(end=ENDS, place=PLACES)
    def delete(self, end: str, place: int) -> None:
        path = self.place(end, place)
        self.remember(end, path)
        self.due -= self.end(end).remove(path)

    @rule(end=ENDS, place=PLACES, to=PLACES)
    def rename(self, end: str, place: int, to: int) -> None:
        machine, old, new = self.end(end), self.place(end, place), self.place(end, to)
        what = machine.tree.get(old)
        if what is None or not what.content or old in machine.open or new.startswith(old):
            return
        machine.remove(old)
        self.due -= machine.write(new, what.content)
        self.forgive(end, new)
        # A power cut never takes one half of a rename; here it takes neither.
        machine.flush([old, new])

    @rule(end=ENDS)
    def everything_reaches_the_disk(self, end: str) -> None:
        self.end(end).flush([*self.end(end).tree, *self.end(end).disk])

    @rule(end=ENDS, luck=st.integers(min_value=0, max_value=3**6))
    def cut_power(self, end: str, luck: int) -> None:
        before, was = self.values(), dict(self.end(end).tree)
        self.plane.cut_power(self.end(end), luck)
        self.due -= before - self.values()
        for path, what in self.end(end).tree.items():
            if was.get(path) != what:
                self.forgive(end, path)
        # Half a file that was on the disk is now as good as any: nobody writes it any more.
        self.torn.update(what.content for what in self.end(end).tree.values())

    @rule(first=ENDS, stage=STAGES, rooms=ROOMS, cut=st.booleans())
    def go_on(self, first: str, stage: str, rooms: list[bool], cut: bool) -> None:
        """The loop goes on to a stage, some steps more, and then the link may be cut."""
        for _step in range(12):
            if self.plane.stage == stage:
                break
            self.plane.step(self.end(first))
        for room in rooms:
            self.plane.step(self.end(first), room=room)
        if cut:
            self.plane.cut_link()

    @rule()
    def stabilize(self) -> None:
        self.end_writing()
        if self.plane.settle() > 1:
            raise UnsettledError("one undisturbed plan does not do")
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
    max_examples=20_000 if SLOW else 1_000,
    stateful_step_count=50 if SLOW else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("wrong", Plane.__subclasses__())
def test_a_loop_that_breaks_a_promise_is_found(wrong: type[Plane]) -> None:
    class Wrong(Programs):
        plane_class = wrong

    thorough = settings(
        max_examples=5_000,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    with pytest.raises(LostError):
        run_state_machine_as_test(Wrong, settings=thorough)
