"""What is at a name at this very moment, beside what it should be."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import hash_pieces, whole
from relay_kernel.files.take import WRITING, is_racy

if TYPE_CHECKING:
    from relay_kernel.files.index import Index
    from relay_kernel.files.take import Taker

CHANGED = "changed meanwhile"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RefusedError(Exception):
    """A change is not made; the text says why."""


class Present:
    """Compares names in open folders with entries."""

    def __init__(self, index: Index, taker: Taker) -> None:
        self._index = index
        self._taker = taker

    def expect(self, at: int, name: bytes, path: bytes, old: Entry) -> os.stat_result:
        """What is at ``name``, which must be ``old``, and open for writing by nobody.

        Raises:
            RefusedError: it is not.
        """
        try:
            found = os.lstat(name, dir_fd=at)
        except FileNotFoundError:
            raise RefusedError(CHANGED) from None
        if old.kind is Kind.FILE:
            self._expect_file(at, name, path, old, found)
        elif not _matches(at, name, old, found):
            raise RefusedError(CHANGED)
        return found

    def _expect_file(
        self, at: int, name: bytes, path: bytes, old: Entry, found: os.stat_result
    ) -> None:
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o777 != old.mode:
            raise RefusedError(CHANGED)
        fd = os.open(name, _READ, dir_fd=at)
        try:
            if self._taker.is_written(fd):
                raise RefusedError(WRITING)
            content = self._index.get(path, found)
            if content is None:
                content = _content(fd, found)
        finally:
            os.close(fd)
        if content != old.content:
            raise RefusedError(CHANGED)

    def came_out(self, at: int, name: bytes, old: Entry, before: os.stat_result) -> None:
        """Check that what was moved to ``name`` is what was looked at ``before``.

        Raises:
            RefusedError: it is another, was written to, or is being written.
        """
        found = os.lstat(name, dir_fd=at)
        if (found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode) != (
            (before.st_ino, before.st_size, before.st_mtime_ns, before.st_mode)
        ):
            raise RefusedError(CHANGED)
        if old.kind is not Kind.FILE:
            return
        fd = os.open(name, _READ, dir_fd=at)
        try:
            if self._taker.is_written(fd):
                raise RefusedError(WRITING)
            fresh = abs(time.time_ns() - found.st_mtime_ns) < self._taker.granule
            if fresh and _content(fd, found) != old.content:
                raise RefusedError(CHANGED)
        finally:
            os.close(fd)

    def is_now(self, at: int, name: bytes, path: bytes, entry: Entry) -> bool:
        """Whether ``entry`` is there already."""
        try:
            found = os.lstat(name, dir_fd=at)
            if entry.kind is Kind.FILE:
                self._expect_file(at, name, path, entry, found)
                return True
        except (OSError, RefusedError):
            return False
        return _matches(at, name, entry, found)

    def racy(self, found: os.stat_result) -> bool:
        """Whether a change that comes just now could leave the file with its times."""
        return is_racy(found, time.time_ns(), self._taker.granule)


def _matches(at: int, name: bytes, entry: Entry, found: os.stat_result) -> bool:
    """Whether a folder or a link is ``entry``."""
    if entry.kind is Kind.FOLDER:
        return stat.S_ISDIR(found.st_mode) and found.st_mode & 0o777 == entry.mode
    return stat.S_ISLNK(found.st_mode) and os.readlink(name, dir_fd=at) == entry.content


def _content(fd: int, found: os.stat_result) -> bytes:
    """The digest of an open file as it is now; what is longer or shorter than it was has none."""
    size = found.st_size
    pieces = [piece for piece, _ in hash_pieces(fd, size)]
    now = os.fstat(fd)
    if (now.st_size, now.st_mtime_ns) != (size, found.st_mtime_ns):
        return b""
    return whole(size, pieces)
