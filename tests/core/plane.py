"""Two machines in memory that lose power, and the loop that keeps a folder of both equal.

Each step of the loop stands alone, so that anything can happen between two of them. What the loop
promises, and what the ways to get it wrong below break, one each:

1. the base is recorded once both ends flushed what it speaks of, the end it came from included;
2. the merge is that of ``reconcile``;
3. a change is made only of what was expected there (compare-and-swap);
4. a plan dies with the life of either end: after a power cut, what was seen there is not there;
5. what has no other place is replaced only where its copy lies (``Change.kept_at``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relay_kernel.core.reconcile import Change, Plan, reconcile
from relay_kernel.core.tree import Entry, Kind, ancestors, is_folder, parent
from tests.core.ends import FOLDER, End, below, copy_name, put

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


@dataclass
class Machine(End):
    """An end whose programs write what is not on disk yet, and whose power may go."""

    name: str = ""
    disk: dict[bytes, Entry] = field(default_factory=dict)
    """What a power cut surely leaves."""
    fresh: set[bytes] = field(default_factory=set)
    """Written by programs and never flushed: a power cut may leave it empty."""
    picture: dict[bytes, Entry] | None = None
    """What the last scan saw; None: none in this life."""
    held: set[bytes] = field(default_factory=set)

    def remove(self, path: bytes) -> set[bytes]:
        """A program removes what is there. Returns the contents that it saw."""
        gone = [other for other in (path, *below(self.tree, path)) if other in self.tree]
        seen = {self.tree.pop(other).content for other in gone}
        self.open.difference_update(gone)
        return seen

    def write(self, path: bytes, content: bytes) -> set[bytes]:
        """A program puts a file there, whatever was there. Returns the contents that it saw."""
        seen = set()
        for above in ancestors(path):
            if not is_folder(self.tree.get(above)):
                seen |= self.remove(above)
                self.tree[above] = FOLDER
        seen |= self.remove(path)
        self.tree[path] = Entry(Kind.FILE, content, 0o644)
        self.fresh.add(path)
        return seen

    def scan(self) -> None:
        """Look at all of it, but not into what is being written: that stays as it was seen."""
        before = self.picture or {}
        self.picture = {path: what for path, what in self.tree.items() if path not in self.open}
        self.picture |= {path: before[path] for path in self.open if path in before}
        for path in below_leaves(self.picture):
            del self.picture[path]
        self.held = set(self.open)

    def flush(self, paths: Collection[bytes]) -> None:
        """What is at these paths now survives a power cut, with the folders above."""
        for path in paths:
            for one in (*ancestors(path), path):
                put(self.disk, one, self.tree.get(one))
                self.fresh.discard(one)
        for path in below_leaves(self.disk):
            del self.disk[path]

    def cut_power(self, luck: int) -> None:
        """Of what was not flushed, each piece stays, is as it was, or is an empty file."""
        left = dict(self.disk)
        for path in sorted(self.tree.keys() | self.disk.keys()):
            if self.tree.get(path) == self.disk.get(path):
                continue
            luck, fate = divmod(luck, 3)
            if fate == 1:
                put(left, path, self.tree.get(path))
            elif fate == 2 and path in self.fresh and path in self.tree:
                left[path] = Entry(Kind.FILE, b"", 0o644)
        for path in below_leaves(left):
            del left[path]
        self.tree, self.disk, self.picture = left, dict(left), None
        self.open.clear()
        self.fresh.clear()


def below_leaves(tree: dict[bytes, Entry]) -> list[bytes]:
    """What cannot be: it lies in no folder."""
    gone: set[bytes] = set()
    for path in sorted(tree):
        above = parent(path)
        if above and (above in gone or not is_folder(tree.get(above))):
            gone.add(path)
    return sorted(gone)


class Plane:
    """The loop, a step at a time. The server's end keeps the base."""

    def __init__(self) -> None:
        self.server, self.target = Machine({}, name="server"), Machine({}, name="target")
        self.base: dict[bytes, Entry] = {}
        self.base_on_disk: dict[bytes, Entry] = {}
        self.drop_plan()

    @property
    def ends(self) -> tuple[Machine, Machine]:
        return self.server, self.target

    def drop_plan(self) -> None:
        self.current = Plan()
        self.todo: dict[str, list[Change]] = {"server": [], "target": []}
        self.made: dict[str, list[bytes]] = {"server": [], "target": []}
        self.flushed: set[str] = set()

    def plan(self) -> None:
        if self.server.picture is None or self.target.picture is None:
            return
        self.drop_plan()
        self.current = self.reconcile(self.server.picture, self.target.picture)
        self.todo = {"server": [*self.current.server], "target": [*self.current.target]}

    def reconcile(self, server: dict[bytes, Entry], target: dict[bytes, Entry]) -> Plan:
        held = self.server.held | self.target.held
        return reconcile(self.base, server, target, held=held, copy_name=copy_name)

    def apply_next(self, end: Machine, *, room: bool = True) -> None:
        """Make the next change there, or refuse it; without room nothing new can be written."""
        if not self.todo[end.name]:
            return
        change = self.todo[end.name].pop(0)
        if (room or change.new is None) and self.apply(end, change):
            self.made[end.name].append(change.path)
            self.flushed.clear()

    def apply(self, end: Machine, change: Change) -> bool:
        return end.apply(change)

    def flush(self, end: Machine) -> None:
        end.flush([*self.made["server"], *self.made["target"], *self.current.agreed])
        self.flushed.add(end.name)

    def record(self) -> None:
        """Let the base follow."""
        if self.may_record():
            done = self.current.settled(self.made["server"], self.made["target"])
            for path, new in done.items():
                put(self.base, path, new)

    def may_record(self) -> bool:
        return self.flushed == {"server", "target"}

    def save_base(self) -> None:
        self.base_on_disk = dict(self.base)

    def cut_power(self, end: Machine, luck: int) -> None:
        end.cut_power(luck)
        self.drop_plan()
        if end is self.server:
            self.base = dict(self.base_on_disk)

    def settle(self) -> Iterator[Plan]:
        """All steps, undisturbed, until there is nothing to do. Yields each plan."""
        while True:
            for end in self.ends:
                end.scan()
            self.plan()
            if not self.current:
                return
            yield self.current
            for end in self.ends:
                while self.todo[end.name]:
                    self.apply_next(end)
            for end in self.ends:
                self.flush(end)
            self.record()


class EarlyBase(Plane):
    """Wrong: the base is recorded when the changes are made, durable or not."""

    def may_record(self) -> bool:
        return True


class SourceNotFlushed(Plane):
    """Wrong: only the end that was changed is flushed, not the one that the content came from."""

    def flush(self, end: Machine) -> None:
        end.flush(self.made[end.name])
        self.flushed.add(end.name)


class DeletionWins(Plane):
    """Wrong: what was removed at one end is removed at the other, though it was edited there."""

    def reconcile(self, server: dict[bytes, Entry], target: dict[bytes, Entry]) -> Plan:
        plan = super().reconcile(server, target)
        removed = [
            Change(change.path, there, None)
            for change in plan.server
            if change.old is None and change.path in self.base
            if (there := target.get(change.path)) is not None and not is_folder(there)
        ]
        paths = {change.path for change in removed}
        kept = tuple(change for change in plan.server if change.path not in paths)
        return replace(plan, server=kept, target=(*plan.target, *removed))


class CheckThenWrite(Plane):
    """Wrong: it was looked at when it was planned, and that is taken to hold when it is made."""

    def apply(self, end: Machine, change: Change) -> bool:
        return end.apply(replace(change, old=end.tree.get(change.path), kept_at=None))


class PlanOutlivesPower(Plane):
    """Wrong: after a power cut the plan goes on, of what was seen before it."""

    def cut_power(self, end: Machine, luck: int) -> None:
        plan, todo, made = self.current, self.todo, self.made
        super().cut_power(end, luck)
        self.current, self.todo, self.made = plan, todo, made


class NoCopyFirst(Plane):
    """Wrong: the loser of a conflict is replaced, whether or not its copy could be made."""

    def apply(self, end: Machine, change: Change) -> bool:
        return end.apply(replace(change, kept_at=None))
