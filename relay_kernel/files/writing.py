"""Whether somebody has a file open for writing: the kernel knows, and a lease asks it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LINUX = sys.platform == "linux"


def is_written(fd: int) -> bool | None:
    """Whether any process has the file open for writing, also as a shared writable mapping.

    Args:
        fd: The file, open for reading only. Nobody waits: the lease is given back at once.

    Returns:
        None where it cannot be known: no leases on this filesystem, or another's file.
    """
    if not LINUX:
        return None
    try:
        # A writer that comes in just now makes the kernel signal us. The default signal would
        # end the process, and ignoring it would be inherited by the programs it starts.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        # A writer that was waiting has broken the lease already.
        return True if error.errno == errno.EAGAIN else None
    return False


def leases_work(folder: int, name: bytes) -> bool:
    """Try leases on a new file ``name`` in the open ``folder``."""
    writer = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder)
    reader = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        seen = is_written(reader)
        os.close(writer)
        writer = -1
        return seen is True and is_written(reader) is False
    finally:
        for fd in (writer, reader):
            if fd >= 0:
                os.close(fd)
        os.unlink(name, dir_fd=folder)


def only_appended(found: os.stat_result) -> bool:
    """Whether all who write to a file can only append to it, as far as this user may see."""
    flags = list(_writers(found))
    return bool(flags) and all(flag & os.O_APPEND for flag in flags)


def _writers(found: os.stat_result) -> Iterator[int]:
    """The flags of every descriptor through which a process of this user writes to a file."""
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for process in processes:
        try:
            numbers = os.listdir(f"/proc/{process}/fd")
        except OSError:
            continue
        for number in numbers:
            flags = _flags(process, number, found)
            if flags & (os.O_WRONLY | os.O_RDWR):
                yield flags


def _flags(process: str, number: str, found: os.stat_result) -> int:
    """The flags of a descriptor if it is of that file, else 0."""
    try:
        its = os.stat(f"/proc/{process}/fd/{number}")
        if (its.st_ino, its.st_dev) != (found.st_ino, found.st_dev):
            return 0
        with open(f"/proc/{process}/fdinfo/{number}", encoding="ascii") as info:
            for line in info:
                if line.startswith("flags:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return 0
