"""Two folders in memory, and what a plan does to them one change at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay_kernel.core.conflicts import note_path
from relay_kernel.core.reconcile import Plan, reconcile
from relay_kernel.core.tree import Entry, Kind, is_folder, parent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from relay_kernel.core.reconcile import Change
    from relay_kernel.core.tree import Tree

FOLDER = Entry(Kind.FOLDER, mode=0o755)


def entry(text: str) -> Entry:
    """``/`` a folder, ``>x`` a link, else a file of that content; ``!x`` one that can be run."""
    if text.startswith("/"):
        return Entry(Kind.FOLDER, mode=0o700 if text == "/!" else 0o755)
    if text.startswith(">"):
        return Entry(Kind.LINK, text[1:].encode())
    return Entry(Kind.FILE, text.strip("!").encode(), 0o755 if text.startswith("!") else 0o644)


def tree(**texts: str) -> dict[bytes, Entry]:
    """``tree(d="/", d_x="1")``: a folder ``d`` with a file ``x``; ``_`` stands for ``/``."""
    return {name.replace("_", "/").encode(): entry(text) for name, text in texts.items()}


def copy_name(path: bytes) -> bytes:
    return note_path(path, "pc")


def is_whole(tree: Tree) -> bool:
    """Whether above each path are folders."""
    return all(not parent(path) or is_folder(tree.get(parent(path))) for path in tree)


def below(tree: Iterable[bytes], path: bytes) -> list[bytes]:
    return [other for other in tree if other.startswith(path + b"/")]


@dataclass
class End:
    """A folder that makes a change as a file system would, and only of what is expected."""

    tree: dict[bytes, Entry]
    open: set[bytes] = field(default_factory=set)
    """Files that a program has open for writing."""

    def refuses(self, change: Change) -> str:
        path, old, new = change.path, change.old, change.new
        if self.tree.get(path) != old:
            return "changed meanwhile"
        if path in self.open:
            return "is being written"
        if change.kept_at is not None and self.tree.get(change.kept_at) != old:
            return "what it displaces would be lost"
        if new is not None and parent(path) and not is_folder(self.tree.get(parent(path))):
            return "its folder is not there"
        if is_folder(old) and not is_folder(new) and below(self.tree, path):
            return "the folder is not empty"
        return ""

    def apply(self, change: Change) -> bool:
        """Make the change; False if it is refused."""
        if self.refuses(change):
            return False
        put(self.tree, change.path, change.new)
        return True


def put(tree: dict[bytes, Entry], path: bytes, new: Entry | None) -> None:
    if new is None:
        tree.pop(path, None)
    else:
        tree[path] = new


@dataclass
class Pair:
    """Two ends and their base."""

    base: dict[bytes, Entry]
    server: End
    target: End

    @classmethod
    def of(cls, base: Tree, server: Tree, target: Tree) -> Pair:
        return cls(dict(base), End(dict(server)), End(dict(target)))

    def plan(self, *, paths: Iterable[bytes] | None = None, held: Collection[bytes] = ()) -> Plan:
        return reconcile(
            self.base,
            self.server.tree,
            self.target.tree,
            paths=paths,
            held=held,
            copy_name=copy_name,
        )

    def apply(self, plan: Plan) -> None:
        """Make all of the plan, in its order. Nothing of it may be refused."""
        for end, changes in ((self.server, plan.server), (self.target, plan.target)):
            for change in changes:
                assert not end.refuses(change), (end.refuses(change), change, plan)
                end.apply(change)
        self.record(plan, plan.server, plan.target)

    def record(self, plan: Plan, at_server: Iterable[Change], at_target: Iterable[Change]) -> None:
        """Let the base follow what was made."""
        done = plan.settled({c.path for c in at_server}, {c.path for c in at_target})
        for path, new in done.items():
            put(self.base, path, new)

    def converge(self, *, held: Collection[bytes] = ()) -> Plan:
        """Plan, do all of it, and see that nothing is left to do."""
        plan = self.plan(held=held)
        self.apply(plan)
        assert not self.plan(held=held), (plan, self.plan(held=held))
        for whole in (self.base, self.server.tree, self.target.tree):
            assert is_whole(whole)
        if not held:
            assert self.base == self.server.tree == self.target.tree
        return plan


def show(tree: Mapping[bytes, Entry | None]) -> dict[str, str]:
    """A tree as in the tables, but with its real paths."""
    return {path.decode(): _show(what) for path, what in sorted(tree.items())}


def _show(what: Entry | None) -> str:
    if what is None:
        return "-"
    if what.kind is Kind.FOLDER:
        return "/!" if what.mode == 0o700 else "/"
    if what.kind is Kind.LINK:
        return ">" + what.content.decode()
    return ("!" if what.mode == 0o755 else "") + what.content.decode()
