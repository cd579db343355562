"""What is no work of a person: a folder that is suddenly empty, a file that a power cut took.

Deletions travel like any other change, but not most of a folder at once: then the pair stops, and
asks. What was only moved within the folder is no deletion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.tree import Kind, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relay_kernel.core.plan import Change
    from relay_kernel.core.tree import Entry, Tree

#: Files that may always go, and the part of a folder that may go beyond that.
FEW, PART = 20, 0.5
#: Files from which on it is asked when all are gone.
ALL = 3
#: Files from which on it is asked when a folder still stands and all that was in it is gone: so
#: looks a disk that was unmounted.
EMPTIED = 100
#: Seconds for which deletions are counted together: they come in portions.
SPAN = 60.0


class Guard:
    """Counts what is deleted at one end because it went at the other."""

    def __init__(self) -> None:
        self._gone: dict[bytes, float] = {}

    def alarm(
        self, changes: Iterable[Change], base: Tree, source: Tree, where: str, now: float
    ) -> str:
        """Why these changes are not to be made unasked; empty: they may be.

        Args:
            changes: for the end that is to follow.
            base: what both had.
            source: what the other end, called ``where``, has now.
            where: for the reason.
            now: seconds of any clock.
        """
        gone = {
            change.path: change.old
            for change in changes
            if change.new is None and change.old is not None and not is_folder(change.old)
        }
        if not gone:
            return ""
        self._gone = {path: at for path, at in self._gone.items() if now - at <= SPAN}
        counted = self._gone.keys() | gone.keys()
        files = sum(not is_folder(entry) for entry in base.values())
        files += sum(path not in base for path in counted)
        reason = _judge(len(counted), files, where) or _emptied(gone, base, source, where)
        if reason and _moved(gone.values(), source) * 2 > len(gone):
            reason = ""
        if not reason:
            self._gone.update(dict.fromkeys(gone, now))
        return reason

    def excuse(self) -> None:
        """A person has said that it was meant."""
        self._gone.clear()


def _judge(gone: int, files: int, where: str) -> str:
    if gone >= files >= ALL:
        return f"all {files} files are gone {where}"
    if gone > max(FEW, files * PART):
        return f"{gone} of {files} files are gone {where}"
    return ""


def _emptied(gone: Mapping[bytes, Entry], base: Tree, source: Tree, where: str) -> str:
    """Whether a folder in the root still stands and has lost everything."""
    if len(gone) < EMPTIED:
        return ""
    lost: dict[bytes, int] = {}
    for path in gone:
        top, below, _ = path.partition(b"/")
        if below:
            lost[top] = lost.get(top, 0) + 1
    for top, count in lost.items():
        if count < EMPTIED or not is_folder(source.get(top)):
            continue
        had = sum(p.startswith(top + b"/") and not is_folder(base[p]) for p in base)
        if count >= had:
            name = top.decode("utf-8", "backslashreplace")
            return f"all {count} files in {name} are gone {where}, and the folder still stands"
    return ""


def _moved(gone: Iterable[Entry], source: Tree) -> int:
    """How many of these have their content elsewhere in the tree."""
    there = {entry.content for entry in source.values() if entry.kind is Kind.FILE and entry.size}
    return sum(entry.content in there for entry in gone if entry.kind is Kind.FILE)


def is_damaged(base: Entry | None, found: Entry | None) -> bool:
    """Whether a power cut made ``found`` out of ``base``: shorter, and no newer."""
    return (
        base is not None
        and found is not None
        and base.kind is found.kind is Kind.FILE
        and base.content != found.content
        and found.size < base.size
        and found.mtime_ns <= base.mtime_ns
    )
