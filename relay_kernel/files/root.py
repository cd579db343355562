"""The folder itself: that it is the one it was, and how a path in it is reached safely."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import uuid
from typing import TYPE_CHECKING, Self

from relay_kernel.files.errors import FolderError, UnsafePathError
from relay_kernel.files.rules import OWN

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Folders that are kept open at once while a batch is worked on.
_OPEN = 64
_IDENTITY = b"root"


def names(path: bytes) -> list[bytes]:
    """The names in a path from the other end.

    Raises:
        UnsafePathError: it is empty, absolute, leads out, or into what is ours.
    """
    parts = path.split(b"/")
    if any(part in {b"", b".", b".."} for part in parts) or b"\0" in path or parts[0] == OWN:
        raise UnsafePathError(f"{show(path)}: is no path inside the folder; refused")
    return parts


def show(path: bytes) -> str:
    """A path for people, and for a terminal."""
    text = os.fsdecode(path)
    return text if text.isprintable() else ascii(text)[1:-1]


class Root:
    """The open folder, and our own one in it.

    Attributes:
        path: where it is configured to be. It may be a link; what it leads to is pinned.
        fd: the open folder.
        device: its filesystem.
        stage: open; where what arrives is put together.
        trash: open; where what is displaced goes.
        identity: names this folder, here, for ever.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = self.own = self.stage = self.trash = -1
        self.device = self._inode = 0
        self.identity = ""

    def open(self, state: Path, *, adopt: bool) -> None:
        """Open it, or say why it is not to be worked on.

        Args:
            state: remembers which folder it was.
            adopt: take it whatever it was: a person said so.
        """
        try:
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            found = os.fstat(self.fd)
            self.device, self._inode = found.st_dev, found.st_ino
            self._identify(state / "identity", adopt=adopt)
            self.stage = self._make(b"stage")
            self.trash = self._make(b"trash")
        except FileNotFoundError as error:
            self.close()
            raise FolderError(f"{self.path} is not there; make it, or mount its disk") from error
        except OSError as error:
            self.close()
            raise FolderError(f"{self.path} cannot be used: {error.strerror}") from error
        except FolderError:
            self.close()
            raise

    def _identify(self, remembered: Path, *, adopt: bool) -> None:
        known = remembered.read_text().strip() if remembered.exists() else ""
        if known and not adopt and not self._has(OWN):
            raise FolderError(self._not_it("has no .relay/root any more"))
        self.own = self._make(OWN)
        if os.fstat(self.own).st_dev != self.device:
            raise FolderError(f"{self.path}/.relay is on another filesystem; remove it")
        found = self._read_identity()
        if known and found != known and not adopt:
            raise FolderError(self._not_it("has another .relay/root, or none"))
        self.identity = found or uuid.uuid4().hex
        self._lock = os.open(
            _IDENTITY, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.own
        )
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderError(f"{self.path} is kept equal by another process already") from error
        if not found:
            os.pwrite(self._lock, self.identity.encode(), 0)
            os.fsync(self._lock)
            os.fsync(self.own)
        if self.identity != known:
            remembered.write_text(self.identity)

    _lock = -1

    def _has(self, name: bytes) -> bool:
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _not_it(self, why: str) -> str:
        return (
            f"{self.path} is not the folder that it was: it {why}; is its disk mounted? "
            "Nothing is deleted anywhere until you say that this is the folder"
        )

    def _make(self, name: bytes) -> int:
        parent = self.own if self.own >= 0 else self.fd
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        try:
            return os.open(name, _FOLDER, dir_fd=parent)
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            raise FolderError(
                f"{self.path}: {show(name)} is no folder of ours; remove it"
            ) from None

    def _read_identity(self) -> str:
        try:
            fd = os.open(_IDENTITY, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.own)
        except FileNotFoundError:
            return ""
        with os.fdopen(fd, "rb") as file:
            return file.read(64).decode("ascii", "replace").strip()

    def check(self) -> None:
        """Raise FolderError when the folder at the configured place is no longer this one."""
        try:
            found = os.stat(self.path)
            own = os.stat(os.path.join(self.path, os.fsdecode(OWN), os.fsdecode(_IDENTITY)))
        except OSError:
            raise FolderError(self._not_it("or its .relay/root is gone")) from None
        if (found.st_dev, found.st_ino) != (self.device, self._inode):
            raise FolderError(self._not_it("is another one"))
        if own.st_ino != os.fstat(self._lock).st_ino:
            raise FolderError(self._not_it("has another .relay/root"))

    def close(self) -> None:
        """Let go of it."""
        for fd in (self.fd, self.own, self.stage, self.trash, self._lock):
            if fd >= 0:
                os.close(fd)
        self.fd = self.own = self.stage = self.trash = self._lock = -1


class Parents:
    """Opens the folders that paths lie in, name by name and through no link.

    A context manager; the folders stay open until it ends, so that the next path in the same one
    costs nothing.
    """

    def __init__(self, top: int) -> None:
        """Args: ``top`` is the open folder that the paths begin at."""
        self._top = top
        self._open: dict[bytes, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all of them."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def of(self, path: bytes) -> tuple[int, bytes]:
        """The open folder that ``path`` lies in, and its last name.

        Raises:
            UnsafePathError: the path leads out, or one of its folders is a link.
            OSError: one of its folders is not there, or cannot be entered.
        """
        folder, slash, name = path.rpartition(b"/")
        if not slash:
            names(path)
            return self._top, name
        fd = self._open.get(folder)
        if fd is None:
            fd = self.folder(folder)
        if name in {b"", b".", b".."} or b"\0" in name:
            names(path)
        return fd, name

    def folder(self, path: bytes, *, make: bool = False) -> int:
        """A folder below the top, open; with ``make``, made if it is not there."""
        if path in self._open:
            return self._open[path]
        if len(self._open) >= _OPEN:
            self.close()
        fd, at = self._top, b""
        for part in names(path):
            at = at + b"/" + part if at else part
            known = self._open.get(at)
            if known is None:
                known = self._open[at] = _enter(fd, part, path, make=make)
            fd = known
        return fd

    def opened(self) -> list[int]:
        """The folders that are open now."""
        return list(self._open.values())

    def forget(self, path: bytes) -> None:
        """Close a folder that was moved or removed, and those below it."""
        below = path + b"/"
        for known in [at for at in self._open if at == path or at.startswith(below)]:
            os.close(self._open.pop(known))


def _enter(parent: int, name: bytes, path: bytes, *, make: bool) -> int:
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR} and _is_link(parent, name):
            raise UnsafePathError(f"{show(path)}: {show(name)} is a link; not followed") from None
        raise


def _is_link(parent: int, name: bytes) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode)
    except OSError:
        return False
