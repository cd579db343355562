"""Joins a socket on this machine to a channel to the other one, byte for byte.

On the server the socket is a notebook's and the channel leads to the PC; on a PC that dials in the
socket is the agent's. Nobody in between looks into the bytes: the session is end to end.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from relay_kernel.link.errors import LinkError

#: Bytes taken at a time. What waits in between is bounded by this and the SSH window (2 MiB).
CHUNK = 64 * 1024


class Duplex(Protocol):
    """A byte stream to the other machine, whatever carries it. One reader, one writer."""

    complaint: str
    """The first line that the far end said in its own words, so far."""

    async def read(self, size: int) -> bytes:
        """Up to ``size`` bytes as soon as there are some; empty at the end.

        Raises:
            LinkError: The connection was lost.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Hand over ``data``; waits while the far end takes none. Says nothing of arrival.

        Raises:
            LinkError: The connection was lost.
        """
        ...

    def write_eof(self) -> None:
        """Tell the far end that nothing more will come. Its own bytes go on."""
        ...

    async def finish(self, timeout: float) -> int | None:
        """Wait for the far end's end, then close; its exit status, ``None`` if not known."""
        ...

    def close(self) -> None:
        """End both directions now."""
        ...


async def splice(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, channel: Duplex
) -> int:
    """Carry bytes both ways until the other machine's side ends; then close the socket.

    Each way waits for the slower end. When the socket says that it will send no more, the far end
    is told, and its bytes go on. When the far end ends, the socket is closed at once, after what
    had arrived; when the connection is lost, it is aborted.

    Args:
        reader: From the socket.
        writer: To the socket.
        channel: To the other machine. Closing it is left to the caller.

    Returns:
        How many bytes came from the other machine.
    """
    upward = asyncio.create_task(_send(reader, channel))
    try:
        return await _receive(channel, writer)
    finally:
        upward.cancel()
        await asyncio.gather(upward, return_exceptions=True)


async def _send(reader: asyncio.StreamReader, channel: Duplex) -> None:
    try:
        while data := await reader.read(CHUNK):
            await channel.write(data)
        channel.write_eof()
    except (LinkError, ConnectionError):
        # Closing makes the other direction end, which ends the splice.
        channel.close()


async def _receive(channel: Duplex, writer: asyncio.StreamWriter) -> int:
    count = 0
    try:
        while data := await channel.read(CHUNK):
            count += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    except (LinkError, ConnectionError):
        with contextlib.suppress(ConnectionError):
            writer.transport.abort()
    return count
