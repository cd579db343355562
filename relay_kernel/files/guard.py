"""What is no work of a person: a folder that is suddenly empty, a file that a power cut took.

Deletions travel like any other change, but not most of a folder at once: then the pair stops, and
asks. Which are too many, :mod:`relay_kernel.core.deletions` says; they come in portions, which are
counted together here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.deletions import doubt_deletions
from relay_kernel.core.tree import Kind, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay_kernel.core.plan import Change
    from relay_kernel.core.tree import Entry, Tree

#: Files that may always go, though they be all.
FEW = 2
#: Seconds for which deletions are counted together.
SPAN = 60.0


class Guard:
    """Counts what is deleted at one end because it went at the other."""

    def __init__(self) -> None:
        self._gone: dict[bytes, tuple[Entry, float]] = {}

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
            change.path: (change.old, now)
            for change in changes
            if change.new is None and change.old is not None and not is_folder(change.old)
        }
        if not gone:
            return ""
        lately = {path: one for path, one in self._gone.items() if now - one[1] <= SPAN}
        counted = {**lately, **gone}
        if len(counted) > FEW:
            before = {**base, **{path: entry for path, (entry, _) in lately.items()}}
            if reason := doubt_deletions(before, source):
                return f"{reason} {where}"
        self._gone = counted
        return ""

    def excuse(self) -> None:
        """A person has said that it was meant."""
        self._gone.clear()


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
