"""Files that arrive: put together out of sight, piece by piece, and verified."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from typing import TYPE_CHECKING

from relay_kernel.files.digest import count, digest, extent, read_piece, whole, zeros
from relay_kernel.files.durable import begin_sync, sync
from relay_kernel.files.errors import DamagedError, NoSpaceError
from relay_kernel.files.rules import show_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relay_kernel.core.tree import Entry
    from relay_kernel.files.root import Root
    from relay_kernel.files.trash import Trash

#: Bytes that are left free, and the part of the disk that is, whichever is less.
MARGIN, PART = 64 << 20, 0.02
#: Seconds for which a file that arrived in part is kept.
KEPT = 7 * 86400.0
#: Files from so many bytes on are made durable as they are finished, one by one.
LONG = 1 << 20
#: Bytes of a file that is still arriving after which the disk begins with them.
STRETCH = 16 << 20
_PART = b"part-"
_WRITE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Stage:
    """The folder where things are put together, on the filesystem that they are for."""

    def __init__(self, root: Root, trash: Trash) -> None:
        self._root = root
        self._trash = trash
        self._number = 0
        self._arriving: set[bytes] = set()

    def clear(self, now: float) -> None:
        """Remove what a process left that was ended; files that arrived in part are kept a while.

        What was displaced is never here.
        """
        with os.scandir(self._root.stage) as items:
            for item in items:
                found = item.stat(follow_symlinks=False)
                if os.fsencode(item.name).startswith(_PART) and now - found.st_mtime < KEPT:
                    continue
                self.remove(os.fsencode(item.name))

    def remove(self, name: bytes) -> None:
        """Remove a draft, if it is there."""
        try:
            os.unlink(name, dir_fd=self._root.stage)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            shutil.rmtree(name, ignore_errors=True, dir_fd=self._root.stage)

    def name(self) -> bytes:
        """A free name for a draft."""
        self._number += 1
        return b"new-%d" % self._number

    def check_room(self, needed: int) -> None:
        """Raise NoSpaceError when ``needed`` bytes do not fit, also without the older trash."""
        lacking = self._lacking(needed)
        if lacking > 0:
            self._trash.make_room(lacking)
            lacking = self._lacking(needed)
        if lacking > 0:
            raise self.full(needed)

    def _lacking(self, needed: int) -> int:
        found = os.statvfs(self._root.stage)
        margin = min(MARGIN, int(found.f_blocks * found.f_frsize * PART))
        return needed + margin - found.f_bavail * found.f_frsize

    def full(self, needed: int) -> NoSpaceError:
        """The error for ``needed`` bytes that do not fit."""
        found = os.statvfs(self._root.stage)
        free = show_size(found.f_bavail * found.f_frsize)
        return NoSpaceError(
            f"{self._root.path}: no space for {show_size(needed)}, {free} are free; make room there"
        )

    def write(self, data: bytes | memoryview, entry: Entry, at: int, name: bytes) -> None:
        """A draft with the whole content of a small file, at a free name in an open folder.

        Raises:
            NoSpaceError: the disk is full.
            OSError: the disk refused.
        """
        fd = os.open(name, _WRITE | os.O_EXCL, 0o600, dir_fd=at)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fchmod(fd, entry.mode & 0o777)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        except OSError as error:
            os.unlink(name, dir_fd=at)
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise self.full(len(data)) from error
            raise
        finally:
            os.close(fd)

    def begin(self, entry: Entry, sources: Callable[[], Iterable[Supply]]) -> Staging:
        """A file to be received. The part that arrived before a cut is taken up again."""
        name = _PART + entry.content.hex().encode()
        if name in self._arriving:
            name = self.name()
        try:
            fd = os.open(name, _WRITE, 0o600, dir_fd=self._root.stage)
        except PermissionError:
            # It was complete, and of a file that nobody may write.
            self.remove(name)
            fd = os.open(name, _WRITE, 0o600, dir_fd=self._root.stage)
        try:
            self.check_room(entry.size - os.fstat(fd).st_blocks * 512)
        except NoSpaceError:
            os.close(fd)
            self.remove(name)
            raise
        self._arriving.add(name)
        return Staging(self, entry, name, fd, sources)

    def ended(self, name: bytes) -> None:
        """A draft is no longer being received."""
        self._arriving.discard(name)


class Supply:
    """An open file here that may have pieces of one that is to come."""

    def __init__(self, fd: int, size: int, pieces: Sequence[bytes]) -> None:
        self._fd = fd
        self._size = size
        self._numbers = {piece: number for number, piece in enumerate(pieces)}

    def get(self, piece: bytes) -> bytes | None:
        """The bytes of a piece, verified; None if they are not here."""
        number = self._numbers.get(piece)
        if number is None:
            return None
        try:
            data = read_piece(self._fd, self._size, number)
        except OSError:
            return None
        return data if digest(data) == piece else None

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Staging:
    """A file being received.

    First :meth:`wants`, then :meth:`put` for each number it gave, in any order, then
    :meth:`finish`; then it is given to ``commit``. After a cut, :meth:`leave` keeps what has
    arrived for the next time, and :meth:`drop` does not.

    Attributes:
        entry: what it will be.
        pieces: the digests of its pieces, once they are known.
        done: whether it is complete.
        durable: whether it is on the disk.
    """

    def __init__(
        self,
        stage: Stage,
        entry: Entry,
        name: bytes,
        fd: int,
        sources: Callable[[], Iterable[Supply]],
    ) -> None:
        self.entry = entry
        self.pieces: list[bytes] = []
        self.done = self.durable = False
        self.name = name
        self._stage = stage
        self._fd = fd
        self._sources = sources
        self._missing: set[int] = set()
        self._dirty = 0

    def wants(self, pieces: Sequence[bytes]) -> list[int]:
        """Take what is here already, and say which pieces must be sent, by number.

        Raises:
            DamagedError: these are not the pieces of the file.
            NoSpaceError: the disk is full; nothing is kept.
        """
        size = self.entry.size
        if len(pieces) != count(size) or whole(size, pieces) != self.entry.content:
            raise DamagedError("the list of pieces is not that of the file; look again")
        self.pieces = list(pieces)
        had = os.fstat(self._fd).st_size
        os.ftruncate(self._fd, size)
        self._missing = {number for number in range(len(pieces)) if not self._has(number, had)}
        if self._missing:
            self._copy()
        return sorted(self._missing)

    def _has(self, number: int, had: int) -> bool:
        start, length = extent(self.entry.size, number)
        if start >= had:
            return self.pieces[number] == zeros(length)
        return digest(read_piece(self._fd, self.entry.size, number)) == self.pieces[number]

    def _copy(self) -> None:
        for source in self._sources():
            try:
                for number in sorted(self._missing):
                    data = source.get(self.pieces[number])
                    if data is not None:
                        self._store(number, memoryview(data))
            finally:
                source.close()
            if not self._missing:
                return

    def put(self, number: int, data: bytes | memoryview) -> None:
        """Add a piece. One that is not wanted is left aside.

        Raises:
            DamagedError: it is not what it should be; ask again.
            NoSpaceError: the disk is full; nothing is kept.
        """
        if number not in self._missing:
            return
        _, length = extent(self.entry.size, number)
        if len(data) != length or digest(data) != self.pieces[number]:
            raise DamagedError("a piece arrived damaged; ask for it again")
        self._store(number, memoryview(data))

    def _store(self, number: int, data: memoryview) -> None:
        start, length = extent(self.entry.size, number)
        try:
            while data:
                done = os.pwrite(self._fd, data, start)
                data, start = data[done:], start + done
        except OSError as error:
            self.drop()
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise self._stage.full(self.entry.size) from error
            raise
        self._missing.discard(number)
        self._dirty += length
        if self._dirty >= STRETCH:
            self._dirty = 0
            begin_sync(self._fd)

    def finish(self) -> None:
        """All is here: give it its mode and its time, and begin to make it durable.

        Raises:
            DamagedError: something is missing.
            OSError: the disk lost it; nothing is kept.
        """
        if self.done:
            return
        if self._missing or not self.pieces:
            raise DamagedError(f"{len(self._missing)} pieces have not arrived")
        try:
            os.fchmod(self._fd, self.entry.mode & 0o777)
            os.utime(self._fd, ns=(self.entry.mtime_ns, self.entry.mtime_ns))
            if self.entry.size >= LONG:
                sync(self._fd)
                self.durable = True
        except OSError:
            self.drop()
            raise
        self.done = True
        self.leave()

    def leave(self) -> None:
        """Close it. What has arrived is found again by the next one for the same content."""
        if self._fd >= 0:
            if not self.done:
                # Its age counts from now.
                with contextlib.suppress(OSError):
                    os.utime(self._fd, ns=(time.time_ns(), time.time_ns()))
            os.close(self._fd)
            self._fd = -1
        if not self.done:
            self._stage.ended(self.name)

    def drop(self) -> None:
        """Remove what has arrived."""
        self.done = False
        self.leave()
        self._stage.remove(self.name)
        self._stage.ended(self.name)
