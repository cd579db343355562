"""What survives a power cut: files one by one, or all of a filesystem at once."""

from __future__ import annotations

import ctypes
import os
import sys

#: From so many files on, one ``syncfs`` is quicker. It also waits for what others write meanwhile.
MANY = 24

_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
#: SYNC_FILE_RANGE_WRITE of <fcntl.h>.
_WRITE = 2


def sync(fd: int) -> None:
    """Make one open file or folder durable.

    Raises:
        OSError: the disk lost something.
    """
    os.fsync(fd)


def begin_sync(fd: int) -> None:
    """Have the system begin to write an open file to the disk; promises nothing."""
    if _sync_file_range is not None:
        _sync_file_range(fd, 0, 0, _WRITE)


def sync_all(fd: int) -> None:
    """Make everything durable on the filesystem of an open file or folder.

    Raises:
        OSError: the disk lost something.
    """
    if sys.platform != "linux":
        os.sync()
    elif _libc.syncfs(fd):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sync_named(folder: int, name: bytes) -> None:
    """Make a file or folder durable that is in an open folder; no link is followed.

    Raises:
        OSError: it is not there, cannot be opened, or the disk lost something.
    """
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
