"""Whether a picture of a folder is believable, or more likely a disk that is not mounted.

A guard against deleting at one end what is only out of sight at the other. Whoever finds a picture
unbelievable pauses and asks; a person who did remove all that says so.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay_kernel.core.tree import Entry, Tree

#: Of fewer than so many, a person removes half on any day.
MANY = 20


def doubt_deletions(base: Tree, tree: Tree) -> str | None:
    """Say why ``tree`` is not believable as what became of ``base``; None if it is.

    It is not if all files (and links) are gone, more than half of many, or a top-level folder with
    many. What only moved, which its content tells, is not gone.

    Args:
        base: what both ends last had.
        tree: what one end shows now. A folder that cannot be read must not be in it as an empty
            one: leave in what it had, and tell ``reconcile`` that it is held.

    Returns:
        A few words: ``27 of 40 files are gone``. Where, and what to do, is the caller's to add.
    """
    had = {path: entry for path, entry in base.items() if _counts(entry)}
    moved = {
        (entry.kind, entry.content)
        for path, entry in tree.items()
        if _counts(entry) and base.get(path) != entry
    }
    gone = [
        path
        for path, entry in had.items()
        if path not in tree and (entry.kind, entry.content) not in moved
    ]
    if had and len(gone) == len(had):
        return f"all {_files(len(had))} are gone"
    if len(had) >= MANY and len(gone) > len(had) / 2:
        return f"{len(gone)} of {_files(len(had))} are gone"
    return _whole_folder(gone, had)


def _counts(entry: Entry) -> bool:
    return entry.kind is not Kind.FOLDER


def _whole_folder(gone: list[bytes], had: Iterable[bytes]) -> str | None:
    """Say which top-level folder had many files and has none of them any more."""
    total = Counter(path.partition(b"/")[0] for path in had if b"/" in path)
    lost = Counter(path.partition(b"/")[0] for path in gone if b"/" in path)
    for folder, count in sorted(lost.items()):
        if count >= MANY and count == total[folder]:
            name = folder.decode(errors="backslashreplace")
            return f"all {_files(count)} of the folder {name!r} are gone"
    return None


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
