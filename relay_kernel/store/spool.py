"""What waits for a link that is down or slow, beyond what memory shall hold."""

from __future__ import annotations

import logging
import os
import tempfile
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class SpoolFile:
    """A file without a name: nobody else can open it, and it is gone when this process is.

    Args:
        folder: where there is room: not a file system in memory. It is made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None
        self._end = 0
        self._close: weakref.finalize[..., SpoolFile] | None = None
        self._failing = False

    def append(self, data: bytes) -> tuple[int, int] | None:
        """Write ``data`` at the end; returns where it is and its size.

        None if the disk is full or refuses: that is logged once, until it works again.
        """
        try:
            fd = self._open()
            _write(fd, data, self._end)
        except OSError as error:
            if not self._failing:
                log.warning(
                    "output that waits for the server stays in memory: %s cannot be written: %s",
                    self._folder,
                    error.strerror or error,
                )
            self._failing = True
            return None
        self._failing = False
        at = self._end
        self._end += len(data)
        return at, len(data)

    def read(self, reference: tuple[int, int]) -> bytes:
        """What was appended.

        Raises:
            OSError: it cannot be read.
        """
        at, size = reference
        if self._fd is None:
            raise OSError(f"the spool in {self._folder} was cleared")
        parts = []
        while size:
            part = os.pread(self._fd, size, at)
            if not part:
                raise OSError(f"the spool in {self._folder} is shorter than what was written")
            parts.append(part)
            at += len(part)
            size -= len(part)
        return b"".join(parts)

    def clear(self) -> None:
        """Give the space back."""
        if self._close:
            self._close()
        self._fd, self._close, self._end = None, None, 0

    def _open(self) -> int:
        if self._fd is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp makes it 0600.
            self._fd, name = tempfile.mkstemp(prefix="spool-", dir=self._folder)
            self._close = weakref.finalize(self, os.close, self._fd)
            os.unlink(name)
        return self._fd


def _write(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, at)
        view = view[count:]
        at += count
