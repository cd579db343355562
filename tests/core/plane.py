"""Two machines in memory that lose power, and the loop that keeps a folder of both equal.

Each step of the loop stands alone, so that anything can happen between two of them. What the loop
promises, and what the ways to get it wrong below break, one each:

1. Before anything is changed, both ends flush what the plan speaks of: the end that a content comes
   from, and both where they are equal already. Then the plan is *ordered*: saved at the server, and
   accounted for whatever happens.
2. The merge is that of ``reconcile``.
3. A change is made only of what was expected there (compare-and-swap).
4. What has no other place is replaced only where its copy lies (``Change.kept_at``).
5. What was made is flushed before the base is recorded.
6. An end remembers what it made until the base has it, and no plan is made before that: a deletion
   that the loop itself made, say, and whose answer was lost, would be taken for a person's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relay_kernel.core.reconcile import Change, Plan, reconcile
from relay_kernel.core.tree import Entry, Kind, ancestors, is_folder, parent
from tests.core.ends import FOLDER, End, below, copy_name, put

if TYPE_CHECKING:
    from collections.abc import Collection

    from relay_kernel.core.tree import Tree


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
    made: set[bytes] = field(default_factory=set)
    """What was changed of the present orders. A change and this note of it share their fate."""

    def apply(self, change: Change) -> bool:
        if not super().apply(change):
            return False
        self.made.add(change.path)
        if self.picture is not None:
            put(self.picture, change.path, change.new)
            trim(self.picture)
        return True

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
        trim(self.picture)
        self.held = set(self.open)

    def flush(self, paths: Collection[bytes]) -> None:
        """What is at these paths now survives a power cut, with the folders above."""
        for path in paths:
            for one in (*ancestors(path), path):
                put(self.disk, one, self.tree.get(one))
                self.fresh.discard(one)
        trim(self.disk)

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
        trim(left)
        self.made -= {path for path in self.made if path in undone(self.tree, self.disk, left)}
        self.tree, self.disk, self.picture = left, dict(left), None
        self.open.clear()
        self.fresh.clear()


def undone(tree: Tree, disk: Tree, left: Tree) -> set[bytes]:
    """Where the power cut brought back what had been there."""
    paths = tree.keys() | disk.keys()
    return {p for p in paths if left.get(p) == disk.get(p) != tree.get(p)}


def trim(tree: dict[bytes, Entry]) -> None:
    """Take out what cannot be, as it lies in no folder."""
    for path in sorted(tree):
        if parent(path) and not is_folder(tree.get(parent(path))):
            del tree[path]


class Plane:
    """The loop, a step at a time. The server has the base and the orders on its disk."""

    def __init__(self) -> None:
        self.server, self.target = Machine({}, name="server"), Machine({}, name="target")
        self.base: dict[bytes, Entry] = {}
        self.looked: set[str] = set()
        self.planned: Plan | None = None
        self.flushed: set[str] = set()
        self.ordered: Plan | None = None
        self.account: Plan | None = None
        """What is ordered and not recorded, whether or not the loop still knows of it."""
        self.todo: dict[str, list[Change]] = {"server": [], "target": []}

    @property
    def ends(self) -> tuple[Machine, Machine]:
        return self.server, self.target

    def step(self, first: Machine, *, room: bool = True) -> None:
        """Do the one thing that comes next; where it is one for each end, at ``first`` first."""
        ends = sorted(self.ends, key=lambda end: end is not first)
        if self.ordered is not None:
            busy = [end for end in ends if self.todo[end.name]]
            if busy:
                self.apply_next(busy[0], room=room)
            else:
                self.record()
        elif self.planned is None:
            self.look_or_plan([end for end in ends if end.name not in self.looked])
        elif self.flushed == {"server", "target"}:
            self.order()
        else:
            self.flush(next(end for end in ends if end.name not in self.flushed))

    @property
    def stage(self) -> str:
        """How far the loop is with its plan."""
        if self.ordered is None:
            return "looking" if self.planned is None else "planned"
        return "ordered" if any(self.todo.values()) else "made"

    def look_or_plan(self, unseen: list[Machine]) -> None:
        if unseen:
            unseen[0].scan()
            self.looked.add(unseen[0].name)
        else:
            self.planned = self.reconcile(self.server.picture or {}, self.target.picture or {})
            self.looked.clear()
            self.flushed.clear()

    def reconcile(self, server: dict[bytes, Entry], target: dict[bytes, Entry]) -> Plan:
        held = self.server.held | self.target.held
        return reconcile(self.base, server, target, held=held, copy_name=copy_name)

    def flush(self, end: Machine) -> None:
        """What the plan speaks of survives a power cut there."""
        assert self.planned is not None
        changes = (*self.planned.server, *self.planned.target)
        end.flush([*(change.path for change in changes), *self.planned.agreed])
        self.flushed.add(end.name)

    def order(self) -> None:
        """From here on the plan is to be made, and is accounted for whatever happens."""
        assert self.planned is not None
        self.account = self.ordered = self.planned
        self.planned = None
        self.todo = {"server": [*self.ordered.server], "target": [*self.ordered.target]}

    def apply_next(self, end: Machine, *, room: bool) -> None:
        """Make the next change there, or refuse it; without room nothing new can be written."""
        change = self.todo[end.name].pop(0)
        if room or change.new is None:
            self.apply(end, change)

    def apply(self, end: Machine, change: Change) -> None:
        end.apply(change)

    def record(self) -> None:
        """Let the base follow what was made of the orders, and be done with them."""
        self.flush_made()
        self.base = self.known_to_both()
        self.account = self.ordered = None
        for end in self.ends:
            end.made.clear()

    def known_to_both(self) -> dict[bytes, Entry]:
        """What the base says, or has to say once it follows what was made."""
        base = dict(self.base)
        if self.account is not None:
            for path, new in self.account.settled(self.server.made, self.target.made).items():
                put(base, path, new)
        return base

    def flush_made(self) -> None:
        for end in self.ends:
            end.flush(end.made)

    def cut_link(self) -> None:
        """No more orders arrive; what was made of them is not known here. All is looked at anew."""
        self.todo = {"server": [], "target": []}
        self.planned = None
        self.looked.clear()

    def cut_power(self, end: Machine, luck: int) -> None:
        end.cut_power(luck)
        self.cut_link()

    def settle(self) -> int:
        """Go on undisturbed until there is nothing to do; say how many plans it took."""
        self.cut_link()
        plans = 0
        while plans < 5:
            self.step(self.server)
            if self.planned is not None and not self.planned:
                break
            plans += self.planned is not None and not self.flushed
        return plans


class EarlyBase(Plane):
    """Wrong (5): the base is recorded when the changes are made, durable or not."""

    def flush_made(self) -> None:
        pass


class SourceNotFlushed(Plane):
    """Wrong (1): what a program wrote is shipped and recorded before it is on its own disk."""

    def flush(self, end: Machine) -> None:
        self.flushed.add(end.name)


class DeletionWins(Plane):
    """Wrong (2): what was removed at the server is removed at the target, though edited there."""

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
    """Wrong (3): it was looked at when it was planned, and that is taken to hold still."""

    def apply(self, end: Machine, change: Change) -> None:
        end.apply(replace(change, old=end.tree.get(change.path), kept_at=None))


class NoCopyFirst(Plane):
    """Wrong (4): the loser of a conflict is replaced, whether or not its copy could be made."""

    def apply(self, end: Machine, change: Change) -> None:
        end.apply(replace(change, kept_at=None))


class OrdersForgotten(Plane):
    """Wrong (6): what was made, but not answered when the link was cut, is not asked for."""

    def cut_link(self) -> None:
        super().cut_link()
        self.ordered = None
