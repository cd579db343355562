"""A link as the session sees it: an ordered duplex stream of bytes, which never reconnects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.wire.message import Part

#: Bytes that are read at once.
READ = 256 << 10
#: Bytes waiting to be written from which on a stream is clogged.
CLOGGED = 1 << 20
#: Seconds for the last words on a stream.
LINGER = 1.0


class Stream(Protocol):
    """One reader, one writer. Once a method raises ``OSError``, the stream is spent: close it."""

    async def read(self) -> bytes:
        """Some bytes, at least one; empty at the end of the stream."""
        ...

    def write(self, parts: Sequence[Part]) -> None:
        """Hand over bytes. Returning says nothing about arrival."""
        ...

    @property
    def clogged(self) -> bool:
        """Whether so much waits to be written that the caller should wait for :meth:`drain`."""
        ...

    async def drain(self) -> None:
        """Wait until the stream is not clogged."""
        ...

    def close(self) -> None:
        """End both directions at once."""
        ...


class SocketStream:
    """A stream over a socket or pipe that asyncio has opened."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """See :class:`Stream`."""
        return await self._reader.read(READ)

    def write(self, parts: Sequence[Part]) -> None:
        """See :class:`Stream`."""
        self._writer.writelines(parts)

    @property
    def clogged(self) -> bool:
        """See :class:`Stream`."""
        return self._writer.transport.get_write_buffer_size() > CLOGGED

    async def drain(self) -> None:
        """See :class:`Stream`."""
        await self._writer.drain()

    def close(self) -> None:
        """See :class:`Stream`. Last words, such as a goodbye, have a moment to leave."""
        transport = self._writer.transport
        if transport.get_write_buffer_size() and not transport.is_closing():
            asyncio.get_running_loop().call_later(LINGER, transport.abort)
            transport.close()
        else:
            transport.abort()
