"""A link over file descriptors of this process: pipes or sockets, whatever sshd made."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING

from relay_kernel.link.stream import CLOGGED, READ

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from relay_kernel.wire.message import Part

#: Buffers that one writev takes; the least that POSIX grants is 16, Linux takes 1024.
_AT_ONCE = 64
#: Bytes that a pipe shall hold, where the system lets us ask: a wake-up for each 64 KiB is slow.
_ROOM = 1 << 20


class PipeStream:
    """See :class:`relay_kernel.link.stream.Stream`. Takes both descriptors over.

    Args:
        source: Is read from.
        sink: Is written to; may be a duplicate of ``source``.
        lender: Who lent them, if anybody did: is closed with the stream, and waits for that.
    """

    def __init__(self, source: int, sink: int, lender: socket.socket | None = None) -> None:
        self._source, self._sink, self._lender = source, sink, lender
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._readable = asyncio.Event()
        self._written = asyncio.Event()
        self._failure: OSError | None = None
        self._closed = False
        for number in (source, sink):
            os.set_blocking(number, False)
            _widen(number)

    async def read(self) -> bytes:
        """See :class:`relay_kernel.link.stream.Stream`."""
        while not self._closed:
            with contextlib.suppress(BlockingIOError):
                return os.read(self._source, READ)
            self._readable.clear()
            self._loop.add_reader(self._source, self._readable.set)
            try:
                await self._readable.wait()
            finally:
                if not self._closed:
                    self._loop.remove_reader(self._source)
        return b""

    def write(self, parts: Sequence[Part]) -> None:
        """See :class:`relay_kernel.link.stream.Stream`."""
        self._check()
        idle = not self._waiting
        for part in parts:
            view = memoryview(part).cast("B")
            self._waiting.append(view)
            self._size += view.nbytes
        if idle:
            self._push()
            self._check()
            if self._waiting:
                self._loop.add_writer(self._sink, self._go_on)

    @property
    def clogged(self) -> bool:
        """See :class:`relay_kernel.link.stream.Stream`."""
        return self._size > CLOGGED

    async def drain(self) -> None:
        """See :class:`relay_kernel.link.stream.Stream`."""
        while self.clogged and not self._closed and self._failure is None:
            self._written.clear()
            await self._written.wait()
        self._check()

    def close(self) -> None:
        """See :class:`relay_kernel.link.stream.Stream`."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        self._waiting.clear()
        self._readable.set()
        self._written.set()
        for number in {self._source, self._sink}:
            os.close(number)
        if self._lender is not None:
            self._lender.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise BrokenPipeError("the stream is closed")

    def _go_on(self) -> None:
        self._push()
        if not self._waiting:
            self._loop.remove_writer(self._sink)

    def _push(self) -> None:
        """Write what the system takes now."""
        try:
            while self._waiting:
                batch = [self._waiting[at] for at in range(min(_AT_ONCE, len(self._waiting)))]
                self._wrote(os.writev(self._sink, batch))
        except BlockingIOError:
            pass
        except OSError as error:
            self._failure = error
            self._waiting.clear()
        self._written.set()

    def _wrote(self, count: int) -> None:
        self._size -= count
        while self._waiting and count >= self._waiting[0].nbytes:
            count -= self._waiting.popleft().nbytes
        if count:
            self._waiting[0] = self._waiting[0][count:]


def _widen(number: int) -> None:
    try:
        import fcntl

        fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, _ROOM)
    except (ImportError, AttributeError, OSError):
        # No pipe, not Linux, or more than this user may have.
        pass
