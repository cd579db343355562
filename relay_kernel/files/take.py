"""Takes what a file holds now, or says why that has to wait."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.files.digest import CHUNK, count, digest, hash_pieces, whole
from relay_kernel.files.index import GRANULE, Row, Trust, row_of
from relay_kernel.files.writing import is_written, only_appended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Bytes up to which a file that is new, or only grows, is taken also while it is open for writing.
SMALL = 1 << 16
#: Bytes by which a file that is open may grow between two looks and pass for a log.
STEP = 1 << 20
#: Nanoseconds that a file must have been left alone where no lease can tell of a writer.
SETTLED = 2_000_000_000

WRITING = "is being written"
CHANGES = "changes while it is read"
SETTLING = "was changed a moment ago"


class HeldError(Exception):
    """The content cannot be taken now; the text says why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was read, stable, from end to end.

    Attributes:
        row: what it was; its size is what was read, the file may have grown.
        pieces: the digests of its pieces.
        data: all of it, if it is small.
    """

    row: Row
    pieces: Sequence[bytes]
    data: bytes | None = None


class Taker:
    """Reads files under the rule that no half of one is ever taken.

    Attributes:
        leases: whether the kernel can be asked who writes.
        granule: nanoseconds within which two changes may bear the same time.
    """

    def __init__(self, *, leases: bool = True, granule: int = GRANULE) -> None:
        self.leases = leases
        self.granule = granule

    def is_written(self, fd: int) -> bool | None:
        """Whether somebody has the open file open for writing; None where nobody can tell."""
        return is_written(fd) if self.leases else None

    def take(
        self,
        fd: int,
        found: os.stat_result,
        known: Row | None,
        pieces_of: Callable[[Row], Sequence[bytes] | None],
    ) -> Taken:
        """Read a file.

        Args:
            fd: it, open for reading.
            found: what it looked like before it was opened.
            known: what it was when it was last taken.
            pieces_of: the digests of the pieces of a known version.

        Raises:
            HeldError: it is being written.
            OSError: it cannot be read.
        """
        began = time.time_ns()
        written = self.is_written(fd)
        if found.st_size <= SMALL:
            return self._small(fd, found, known, began=began, written=written)
        if written:
            return self._growing(fd, found, known, pieces_of)
        if written is None and began - found.st_ctime_ns < SETTLED:
            raise HeldError(SETTLING)
        pieces = [piece for piece, _ in hash_pieces(fd, found.st_size)]
        if not _same(fd, found) or len(pieces) != count(found.st_size):
            raise HeldError(CHANGES)
        if self.is_written(fd):
            raise HeldError(WRITING)
        return self._taken(found, pieces, began, live=False)

    def _small(
        self,
        fd: int,
        found: os.stat_result,
        known: Row | None,
        *,
        began: int,
        written: bool | None,
    ) -> Taken:
        data = os.read(fd, found.st_size + 1)
        if len(data) != found.st_size or not _same(fd, found):
            raise HeldError(CHANGES)
        if written and known is not None and not _goes_on(known, data):
            # Written anew: what is there so far must not take the place of what was whole.
            raise HeldError(WRITING)
        return self._taken(found, [digest(data)], began, live=bool(written), data=data)

    def _growing(
        self,
        fd: int,
        found: os.stat_result,
        known: Row | None,
        pieces_of: Callable[[Row], Sequence[bytes] | None],
    ) -> Taken:
        """Take what has been appended so far to a file that is open, and only that."""
        pieces = None
        if known is not None and _may_be_start(known, found):
            logs = known.trust is not Trust.LIVE or found.st_size - known.size <= STEP
            before = [known.content] if known.size <= CHUNK else pieces_of(known)
            if logs and before is not None:
                pieces = _appended(fd, found.st_size, known.size, before)
        if pieces is None:
            if not only_appended(found):
                raise HeldError(WRITING)
            pieces = [piece for piece, _ in hash_pieces(fd, found.st_size)]
        now = os.fstat(fd)
        if now.st_size < found.st_size or len(pieces) != count(found.st_size):
            raise HeldError(CHANGES)
        return self._taken(found, pieces, 0, live=True)

    def _taken(
        self,
        found: os.stat_result,
        pieces: Sequence[bytes],
        began: int,
        *,
        live: bool,
        data: bytes | None = None,
    ) -> Taken:
        trust = Trust.SURE
        if live:
            trust = Trust.LIVE
        elif is_racy(found, began, self.granule):
            trust = Trust.RACY
        return Taken(row_of(found, whole(found.st_size, pieces), trust), pieces, data)


def is_racy(found: os.stat_result, now_ns: int, granule: int) -> bool:
    """Whether a change that comes just now could leave a file with the times that it has."""
    return abs(now_ns - found.st_mtime_ns) < granule and abs(now_ns - found.st_ctime_ns) < granule


def _same(fd: int, found: os.stat_result) -> bool:
    now = os.fstat(fd)
    return (
        now.st_ctime_ns == found.st_ctime_ns
        and now.st_size == found.st_size
        and now.st_mtime_ns == found.st_mtime_ns
        and now.st_ino == found.st_ino
    )


def _goes_on(known: Row, data: bytes) -> bool:
    """Whether the known version of a small file is how ``data`` begins."""
    return known.size <= len(data) and digest(data[: known.size]) == known.content


def _appended(fd: int, size: int, old_size: int, old: Sequence[bytes]) -> list[bytes] | None:
    """The pieces of an open file if its first ``old_size`` bytes are still ``old``, else None."""
    pieces = []
    for number, (piece, data) in enumerate(hash_pieces(fd, size)):
        start = number * CHUNK
        if start < old_size:
            rest = old_size - start
            if (piece if rest >= CHUNK else digest(data[:rest])) != old[number]:
                return None
        pieces.append(piece)
    return pieces


def _may_be_start(known: Row, found: os.stat_result) -> bool:
    """Whether a known version may be the beginning of what is there. An empty one says nothing."""
    return 0 < known.size < found.st_size and known.inode == found.st_ino
