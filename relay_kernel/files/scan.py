"""Looks at a folder, or at what has changed in it, and draws the picture."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.errors import UnsafePathError
from relay_kernel.files.index import Row, Trust
from relay_kernel.files.rules import OWN
from relay_kernel.files.take import WRITING, HeldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relay_kernel.files.parts import Parts
    from relay_kernel.files.root import Parents
    from relay_kernel.files.rules import Matcher

#: Folders in folders; each costs an open descriptor while it is looked at.
_DEEPEST = 200
#: Changes that are told of at once while a look goes on.
PART = 2000
#: A look at a long file that grows is followed by a rest so many times as long.
_REST = 4
#: Seconds before it is due that a look counts as the one that was due.
_EARLY = 0.02
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scanner:
    """Draws the picture of one folder.

    Attributes:
        matcher: the rules; may be replaced between two looks.
        held_for: how many times a held path was looked at, and when it is looked at next.
        held_since: since when; seconds since the epoch.
    """

    def __init__(self, parts: Parts, matcher: Matcher, tell: Callable[[], None]) -> None:
        """Args: ``tell`` is called when much has changed already while a look goes on."""
        self.matcher = matcher
        self._tell = tell
        self.held_for: dict[bytes, tuple[int, float]] = {}
        self.held_since: dict[bytes, float] = {}
        self._vanished: set[bytes] = set()
        self._root = parts.root
        self._index = parts.index
        self._watch = parts.watch
        self._taker = parts.taker
        self._picture = parts.picture
        self._fresh = parts.fresh

    def all(self) -> None:
        """Look at everything."""
        began = time.monotonic()
        self._watch.looking()
        self._folder(b"", self._root.fd, 0)
        self._clear()
        self._watch.looked(time.monotonic() - began)

    def some(self, paths: Iterable[bytes], parents: Parents) -> None:
        """Look at ``paths`` again, whether they are there or not."""
        for path in sorted(paths):
            folder = path[: max(0, path.rfind(b"/"))]
            known = self._picture.tree.get(folder)
            if folder and (known is None or known.kind is not Kind.FOLDER):
                continue
            try:
                at, name = parents.of(path)
                found = os.lstat(name, dir_fd=at)
            except (FileNotFoundError, NotADirectoryError, UnsafePathError):
                self._gone(path)
            except OSError as error:
                self._skip(path, f"cannot be read: {error.strerror}")
            else:
                self._again(path, name, at, found)
        self._clear()

    def _clear(self) -> None:
        """Forget what is gone, at last: until now it told what was moved from there."""
        while self._vanished:
            path = self._vanished.pop()
            if self._picture.knows(path):
                self._forget(self._picture.remove(path))

    def _again(self, path: bytes, name: bytes, at: int, found: os.stat_result) -> None:
        if self.matcher.ignores(path, folder=stat.S_ISDIR(found.st_mode)):
            self._gone(path)
            return
        self._item(path, name, at, found, deep=False)
        if found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
            self._other_names(path, found)

    def _other_names(self, path: bytes, found: os.stat_result) -> None:
        """Writing through one name of a file is not heard of under its others."""
        for other in self._index.same_inode(found.st_ino) - {path}:
            if not self._index.rows[other].holds(found):
                self._watch.look_at(other, 0.0)

    def _folder(self, path: bytes, fd: int, depth: int) -> None:
        """Look at all that is in an open folder, which is watched already if it is not the root."""
        if not path:
            self._watch.add(path, fd)
        before = path + b"/" if path else b""
        seen, folders = set(), []
        with os.scandir(fd) as items:
            for item in items:
                name = os.fsencode(item.name)
                child = before + name
                try:
                    found = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                folder = stat.S_ISDIR(found.st_mode)
                if self.matcher.ignores(child, folder=folder) or child == OWN:
                    continue
                seen.add(child)
                if folder:
                    folders.append((child, name, found))
                else:
                    self._item(child, name, fd, found, deep=True)
                    if len(self._picture.changed) >= PART:
                        self._tell()
        for child in self._picture.inside(path) - seen:
            self._gone(child)
        for child, name, found in folders:
            self._item(child, name, fd, found, deep=True, depth=depth + 1)

    def _item(
        self,
        path: bytes,
        name: bytes,
        at: int,
        found: os.stat_result,
        *,
        deep: bool,
        depth: int = 0,
    ) -> None:
        kind = stat.S_IFMT(found.st_mode)
        try:
            if kind == stat.S_IFREG:
                self._file(path, name, at, found)
            elif kind == stat.S_IFDIR:
                self._enter(path, name, at, found, deep=deep, depth=depth)
            elif kind == stat.S_IFLNK:
                target = os.readlink(name, dir_fd=at)
                self._put(path, Entry(Kind.LINK, target, mtime_ns=found.st_mtime_ns))
            else:
                self._skip(path, f"is {_SPECIAL.get(kind, 'no file')}")
        except FileNotFoundError:
            self._gone(path)
        except HeldError as held:
            self._hold(path, str(held))
        except OSError as error:
            self._skip(path, f"cannot be read: {error.strerror}")

    def _file(self, path: bytes, name: bytes, at: int, found: os.stat_result) -> None:
        reason = self.matcher.too_large(path, found.st_size)
        if reason:
            self._skip(path, reason)
            return
        content = self._index.get(path, found)
        if content is not None:
            self._put_file(path, content, found.st_size, found)
            return
        row = self.take(path, name, at, found)
        self._put_file(path, row.content, row.size, found)

    def take(self, path: bytes, name: bytes, at: int, found: os.stat_result) -> Row:
        """Read a file now, and remember what it was.

        Raises:
            HeldError: it cannot be taken.
            OSError: it cannot be read.
        """
        moved = self._moved(path, found)
        if moved is not None:
            return moved
        began = time.monotonic()
        try:
            fd = os.open(name, _READ, dir_fd=at)
        except BlockingIOError:
            raise HeldError(WRITING) from None
        try:
            taken = self._taker.take(
                fd, found, self._index.rows.get(path), lambda row: self._pieces(path, row)
            )
        finally:
            os.close(fd)
        self._index.put(path, taken.row, taken.pieces)
        if taken.data is not None:
            self._fresh.keep(path, taken.row.content, taken.data)
        if taken.row.trust is Trust.LIVE:
            now = time.monotonic()
            self._watch.pending.spare(path, now + _REST * (now - began))
        return taken.row

    def _moved(self, path: bytes, found: os.stat_result) -> Row | None:
        """The row of a file that is surely one that is known under another path."""
        for other in self._index.same_inode(found.st_ino):
            row = self._index.rows[other]
            if row.holds(found):
                self._index.put(path, row, self._index.pieces(other, row.content))
                return row
        return None

    def _pieces(self, path: bytes, row: Row) -> Sequence[bytes] | None:
        return self._index.pieces(path, row.content)

    def _put_file(self, path: bytes, content: bytes, size: int, found: os.stat_result) -> None:
        mode, mtime = found.st_mode & 0o777, found.st_mtime_ns
        known = self._picture.tree.get(path)
        if (
            known is not None
            and known.content == content
            and known.mode == mode
            and known.mtime_ns == mtime
            and known.kind is Kind.FILE
            and path not in self._picture.held
        ):
            return
        self._put(path, Entry(Kind.FILE, content, mode, size, mtime))

    def _put(self, path: bytes, entry: Entry) -> None:
        known = self._picture.tree.get(path)
        if known is not None and known.kind is Kind.FOLDER and entry.kind is not Kind.FOLDER:
            self._forget(self._picture.empty(path))
            self._watch.drop(path)
        if entry.kind is not Kind.FILE:
            self._index.drop(path)
        self._vanished.discard(path)
        self._picture.put(path, entry)
        self._release(path)

    def _enter(
        self, path: bytes, name: bytes, at: int, found: os.stat_result, *, deep: bool, depth: int
    ) -> None:
        if found.st_dev != self._root.device:
            self._skip(path, "is on another filesystem")
            return
        depth = depth or path.count(b"/") + 1
        if depth > _DEEPEST:
            self._skip(path, f"lies more than {_DEEPEST} folders deep")
            return
        fd = os.open(name, _ENTER, dir_fd=at)
        try:
            new = self._watch.add(path, fd)
            self._put(path, Entry(Kind.FOLDER, mode=found.st_mode & 0o777))
            if deep or new:
                self._folder(path, fd, depth)
        finally:
            os.close(fd)

    def _hold(self, path: bytes, reason: str) -> None:
        if self._picture.tree.get(path, _NOTHING).kind is Kind.FOLDER:
            self._forget(self._picture.remove(path))
        self._picture.hold(path, reason)
        self._watch.closing_only.add(path)
        self._vanished.discard(path)
        self.held_since.setdefault(path, time.time())
        times, due = self.held_for.get(path, (0, 0.0))
        if time.monotonic() < due - _EARLY:
            # Not the look that was due: something has happened, its end may be near.
            times = 0
        self.held_for[path] = times + 1, self._watch.again(path, times)

    def _skip(self, path: bytes, reason: str) -> None:
        self._forget([*self._picture.empty(path), path])
        self._vanished.discard(path)
        self._picture.skip(path, reason)
        self._release(path)

    def _gone(self, path: bytes) -> None:
        self._vanished.add(path)

    def _forget(self, paths: Iterable[bytes]) -> None:
        for path in paths:
            self._index.drop(path)
            self._watch.drop(path)
            self._release(path)

    def _release(self, path: bytes) -> None:
        if self.held_for.pop(path, None) is not None:
            self._watch.closing_only.discard(path)
            self.held_since.pop(path, None)


_NOTHING = Entry(Kind.FILE)
_SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
