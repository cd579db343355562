"""Two trees against the last one that both ends had: what each end has to become.

The merged tree is decided path by path, from below. What is done at each end is then only the
difference between what it has and the merged tree.

Invariants:

1. What one end alone changed wins; the other end has not looked at that path since.
2. What differs from the base at an end outlives whatever the other end did, under its name or as
   a conflict copy. Only what both had can go. (A folder's mode alone outlives nothing.)
3. The server's version keeps its name, so nothing of the server's has ever to be moved.
4. What is decided about a path hangs on its own entries and on what lies below it, on nothing else.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from enum import Enum
from itertools import chain, count
from typing import TYPE_CHECKING, Literal, TypeAlias

from relay_kernel.core.conflicts import number_path
from relay_kernel.core.plan import Change, Conflict, Plan, arrange
from relay_kernel.core.tree import Entry, Kind, ancestors, is_folder, parent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from relay_kernel.core.tree import Tree

__all__ = ["Change", "Conflict", "Plan", "reconcile"]


class _Verdict(Enum):
    BOTH = "both are kept"


BOTH = _Verdict.BOTH
Verdict: TypeAlias = "Entry | Literal[_Verdict.BOTH] | None"


def reconcile(
    base: Tree,
    server: Tree,
    target: Tree,
    *,
    paths: Iterable[bytes] | None = None,
    held: Collection[bytes] = (),
    copy_name: Callable[[bytes], bytes],
) -> Plan:
    """Decide what makes ``server`` and ``target`` equal and loses no version of either.

    Args:
        base: the last tree that both ends had, and had on disk.
        server: what the server has.
        target: what the target has.
        paths: where anything changed since the last plan; None: anywhere. The plan is then that
            for all, but only for these, the folders above, and what lies below where one of them
            is a folder no more.
        held: what is not known at the moment (a file being written, a folder that cannot be read)
            or is not to be touched (a socket, an ignored folder), at either end. Nothing is
            decided about these and what lies below; no folder above is removed.
        copy_name: the name that a conflict copy of the target's version of this path should have,
            in the same folder (see :func:`.conflicts.note_path`); it gets a number if it is taken.

    Returns:
        The plan. Done fully, it makes server, target and base equal but for what is held.
    """
    merge = _Merge(base, server, target, held, copy_name)
    merge.run(_scope(base, server, target, paths))
    return merge.plan()


class _Merge:
    """One run; ``final`` becomes the merged tree, without what is left undecided."""

    def __init__(
        self,
        base: Tree,
        server: Tree,
        target: Tree,
        held: Collection[bytes],
        copy_name: Callable[[bytes], bytes],
    ) -> None:
        self._base, self._server, self._target = base, server, target
        self._held = frozenset(held)
        self._guarded = {above for path in self._held for above in ancestors(path)}
        self._copy_name = copy_name
        self._paths: list[bytes] = []
        self._needed: set[bytes] = set()
        self._kept_at: dict[bytes, bytes] = {}
        self._copies: set[bytes] = set()
        self._conflicts: list[Conflict] = []
        self.final: dict[bytes, Entry | None] = {}

    def run(self, scope: list[bytes]) -> None:
        """Decide about the paths of ``scope``, which is sorted."""
        self._paths = self._drop_blocked(scope)
        contested = [path for path in reversed(self._paths) if self._decide(path) is BOTH]
        for path in reversed(contested):
            self._keep_both(path)

    def plan(self) -> Plan:
        """What has to be done at each end."""
        server, target, agreed = [], [], {}
        for path, new in self.final.items():
            here, there = self._server.get(path), self._target.get(path)
            if here != new:
                server.append(Change(path, here, new))
            if there != new:
                target.append(Change(path, there, new, self._kept_at.get(path)))
            if here == there == new and self._base.get(path) != new:
                agreed[path] = new
        return Plan(arrange(server), arrange(target), agreed, tuple(self._conflicts))

    def _drop_blocked(self, scope: list[bytes]) -> list[bytes]:
        """Leave out what is held, what lies below it, and what is the same everywhere."""
        blocked: set[bytes] = set()
        free = []
        for path in scope:
            here, there = self._server.get(path), self._target.get(path)
            # No end shows the folder in which something is held: its picture is not complete.
            unseen = path in self._guarded and not (is_folder(here) or is_folder(there))
            if unseen or path in self._held or parent(path) in blocked:
                blocked.add(path)
            elif not (here == there == self._base.get(path)):
                free.append(path)
        return free

    def _decide(self, path: bytes) -> Verdict:
        """Decide about ``path``; what lies below is decided, and may need it as a folder."""
        here, there = self._server.get(path), self._target.get(path)
        verdict = _settle(self._base.get(path), here, there)
        if path in self._needed and (verdict is BOTH or not is_folder(verdict)):
            # Something below outlives that one end removed or replaced this folder.
            folder = here if is_folder(here) else there
            verdict = folder if verdict is None else BOTH
        if path in self._guarded and not is_folder(here if verdict is BOTH else verdict):
            if verdict is BOTH:
                for below in self._below(path):
                    self.final.pop(below, None)
            return None
        self.final[path] = here if verdict is BOTH else verdict
        if self.final[path] is not None:
            self._needed.add(parent(path))
        return verdict

    def _keep_both(self, path: bytes) -> None:
        """The server's version keeps ``path``; what the target has there moves to a copy."""
        moved = {path: self._target[path]}
        if is_folder(self._target[path]):
            for below in self._below(path):
                survivor = self.final.get(below)
                if survivor is not None:
                    moved[below] = survivor
                    self.final[below] = None
        copy = self._free(path, moved)
        for old, entry in moved.items():
            new = copy + old[len(path) :]
            self.final[new] = entry
            self._kept_at[old] = new
            self._copies.add(new)
        self._conflicts.append(Conflict(path, copy))

    def _below(self, path: bytes) -> list[bytes]:
        """The decided paths below ``path``: between ``path/`` and ``path0``, which sorts next."""
        first = bisect_left(self._paths, path + b"/")
        return self._paths[first : bisect_left(self._paths, path + b"0", first)]

    def _free(self, path: bytes, moved: Tree) -> bytes:
        """The first name for the copy of ``path`` under which all of ``moved`` can lie."""
        wish = self._copy_name(path)
        if parent(wish) != parent(path):
            raise ValueError(f"{wish!r} is no name for a copy of {path!r}: it is another folder's")
        copies = (number_path(wish, number) for number in count(1))
        return next(
            copy
            for copy in copies
            if all(self._fits(copy + old[len(path) :], entry) for old, entry in moved.items())
        )

    def _fits(self, path: bytes, entry: Entry) -> bool:
        """Whether ``path`` is free, or holds ``entry`` already: from a plan that was cut short."""
        if path in self._held or path in self._guarded or path in self._copies:
            return False
        was, here, there = self._base.get(path), self._server.get(path), self._target.get(path)
        if was is not None:
            return was == here == there == entry
        return here in {None, entry} and there in {None, entry}


def _settle(base: Entry | None, server: Entry | None, target: Entry | None) -> Verdict:
    """Decide about one path by its own three entries, whatever lies below.

    A folder that is still one counts as unchanged: its mode is no reason to keep it.
    """
    if server == target:
        return server
    if is_folder(server) and is_folder(target):
        return _merge_modes(base, server, target)
    if _unchanged(base, server):
        return target
    if _unchanged(base, target):
        return server
    if server is None or target is None:
        return server or target
    return _merge_files(base, server, target)


def _unchanged(base: Entry | None, entry: Entry | None) -> bool:
    return entry == base or (is_folder(entry) and is_folder(base))


def _merge_files(base: Entry | None, server: Entry, target: Entry) -> Verdict:
    """Both changed. A changed content and a changed mode are no conflict."""
    if not server.kind is target.kind is Kind.FILE:
        return BOTH
    was = base.content if base and base.kind is Kind.FILE else None
    if was is not None and server.content == was:
        return replace(target, mode=_merge_modes(base, server, target).mode)
    if target.content in {server.content, was}:
        return _merge_modes(base, server, target)
    return BOTH


def _merge_modes(base: Entry | None, server: Entry, target: Entry) -> Entry:
    """``server`` with the mode that was changed; its own, if both changed it."""
    unchanged = base is not None and base.kind is server.kind and base.mode == server.mode
    return replace(server, mode=target.mode) if unchanged else server


def _scope(base: Tree, server: Tree, target: Tree, paths: Iterable[bytes] | None) -> list[bytes]:
    """All paths to decide about, sorted: folders come before what lies below them."""
    trees = (base, server, target)
    if paths is not None:
        scope = _with_ancestors(paths)
        tops = {
            path
            for path in scope
            if _hangs_on_below(base.get(path), server.get(path), target.get(path))
        }
        scope.update(_all_below(tops, trees))
        return sorted(scope)
    # Where a folder is none in one tree, all that lies below differs, and so is here anyway.
    return sorted(
        _with_ancestors(
            path
            for path in chain.from_iterable(trees)
            if not (base.get(path) == server.get(path) == target.get(path))
        )
    )


def _with_ancestors(paths: Iterable[bytes]) -> set[bytes]:
    scope: set[bytes] = set()
    for path in paths:
        for above in chain((path,), ancestors(path)):
            if above in scope:
                break
            scope.add(above)
    return scope


def _hangs_on_below(base: Entry | None, server: Entry | None, target: Entry | None) -> bool:
    """Whether what is decided here hangs on what lies below, or moves it."""
    if is_folder(server) and is_folder(target):
        return False
    return is_folder(base) or (is_folder(target) and server is not None and server != base)


def _all_below(tops: Collection[bytes], trees: tuple[Tree, ...]) -> Iterator[bytes]:
    """What any tree has below one of ``tops``, in one pass over each."""
    if not tops:
        return
    inside = dict.fromkeys(tops, True) | {b"": False}
    for path in chain.from_iterable(trees):
        new = []
        above = parent(path)
        while above not in inside:
            new.append(above)
            above = parent(above)
        inside.update(dict.fromkeys(new, inside[above]))
        if inside[above]:
            yield path
