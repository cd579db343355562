"""A stream within one process: a line that is never full."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.wire.message import Part


class MemoryStream:
    """One end of :func:`memory_pair`."""

    def __init__(self) -> None:
        self.peer: MemoryStream = self
        self._waiting: list[Part] = []
        self._arrived = asyncio.Event()
        self._closed = False
        self.written = 0
        """Bytes, in all."""

    async def read(self) -> bytes:
        """See :class:`relay_kernel.link.stream.Stream`."""
        await self._arrived.wait()
        if self._closed and not self._waiting:
            return b""
        parts, self._waiting = self._waiting, []
        if not self._closed:
            self._arrived.clear()
        return b"".join(parts)

    def write(self, parts: Sequence[Part]) -> None:
        """See :class:`relay_kernel.link.stream.Stream`."""
        if self.peer._closed:
            raise BrokenPipeError("the other end of a memory link is closed")
        self.written += sum(map(len, parts))
        self.peer._waiting += parts
        self.peer._arrived.set()

    @property
    def clogged(self) -> bool:
        """Never: both ends run on one loop."""
        return False

    async def drain(self) -> None:
        """See :class:`relay_kernel.link.stream.Stream`."""

    def close(self) -> None:
        """See :class:`relay_kernel.link.stream.Stream`."""
        for end in (self, self.peer):
            end._closed = True
            end._arrived.set()


def memory_pair() -> tuple[MemoryStream, MemoryStream]:
    """Two ends of one link."""
    left, right = MemoryStream(), MemoryStream()
    left.peer, right.peer = right, left
    return left, right
