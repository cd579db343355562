"""In which order changes are made at one end when many wait: what somebody waits for, first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relay_kernel.core.plan import Change

#: Bytes from which on a file waits for all others: a second or so on a line of 100 Mbit/s.
LARGE = 8 << 20
#: Bytes up to which sizes make no difference: opening and renaming a file costs more.
SMALL = 64 << 10


def _no_rank(path: bytes) -> int:
    return 0


def order(changes: Iterable[Change], rank: Callable[[bytes], int] = _no_rank) -> list[Change]:
    """Put the changes of a plan for one end in the order in which to make them.

    What ships nothing (folders, links, modes) and copies that other changes wait for come first, in
    the order given: they are made at once. Then the files: those of the highest rank first, among
    these the small ones, among these the newest; but large ones after all others. Removals come
    last, in the order given.

    Args:
        changes: in an order that works, as a plan has them.
        rank: of a path; higher is sooner. 0 for backlog, say, and for what a cell just wrote the
            cell's number.

    Returns:
        All of them, in an order that works.
    """
    given = list(changes)
    awaited = {change.kept_at for change in given}
    quick, files, removals = [], [], []
    for change in given:
        if change.clears:
            removals.append(change)
        elif change.path in awaited or not _ships(change):
            quick.append(change)
        else:
            files.append(change)
    files.sort(key=lambda change: _key(change, rank))
    return quick + files + removals


def _ships(change: Change) -> bool:
    """Whether there is a content to bring over, not only a mode to set."""
    old, new = change.old, change.new
    if new is None or new.kind is not Kind.FILE:
        return False
    return old is None or old.kind is not Kind.FILE or old.content != new.content


def _key(change: Change, rank: Callable[[bytes], int]) -> tuple[bool, int, int, int, bytes]:
    new = change.new
    assert new is not None
    size = (new.size // SMALL).bit_length()
    return new.size >= LARGE, -rank(change.path), size, -new.mtime_ns, change.path
