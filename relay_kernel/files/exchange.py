"""Renames that never overwrite: to a free name only, or two names swapped in one step."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NOREPLACE, _EXCHANGE = 1, 2
#: What a filesystem or a system says that has no such rename.
_LACKS = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}


def _load() -> Callable[[int, bytes, int, bytes, int], int] | None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    call.restype = ctypes.c_int
    renameat2: Callable[[int, bytes, int, bytes, int], int] = call
    return renameat2


_renameat2 = _load()


def _rename(source: int, old: bytes, folder: int, new: bytes, flags: int) -> None:
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _renameat2(source, old, folder, new, flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


class Exchange:
    """The two renames on one filesystem; folders are open descriptors, names are in them.

    Attributes:
        creates: Whether the filesystem renames to a free name only. Without, a link stands in,
            or a look before the rename.
        swaps: Whether it swaps two names. Without, :meth:`swap` is not to be called.
    """

    def __init__(self, *, creates: bool = True, swaps: bool = True) -> None:
        self.creates = creates
        self.swaps = swaps

    @classmethod
    def probe(cls, folder: int) -> Exchange:
        """Try both in an open folder."""
        names = (b"probe-1", b"probe-2", b"probe-3")
        found = cls(creates=True, swaps=True)
        try:
            for name in names[:2]:
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=folder))
            found.creates = _works(folder, names[0], names[2], _NOREPLACE)
            found.swaps = _works(folder, names[1], names[2 if found.creates else 0], _EXCHANGE)
        finally:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
        return found

    def create(self, source: int, old: bytes, folder: int, new: bytes) -> None:
        """Move something to a name that must be free.

        Raises:
            FileExistsError: it is not.
            OSError: the disk or the system refused.
        """
        if self.creates:
            _rename(source, old, folder, new, _NOREPLACE)
            return
        try:
            os.link(old, new, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:
            # A folder, or no links here: the look leaves a gap, which is why it is the last choice.
            with contextlib.suppress(FileNotFoundError):
                os.lstat(new, dir_fd=folder)
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from None
            os.rename(old, new, src_dir_fd=source, dst_dir_fd=folder)
        else:
            os.unlink(old, dir_fd=source)

    def swap(self, source: int, old: bytes, folder: int, new: bytes) -> None:
        """Swap two things that are there.

        Raises:
            FileNotFoundError: one of them is not.
            OSError: the disk or the system refused.
        """
        _rename(source, old, folder, new, _EXCHANGE)


def _works(folder: int, old: bytes, new: bytes, flags: int) -> bool:
    try:
        _rename(folder, old, folder, new, flags)
    except OSError as error:
        if error.errno in _LACKS:
            return False
        raise
    return True
