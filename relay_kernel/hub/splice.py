"""Joins a client's socket to a channel to the PC, byte for byte.

The hub never looks into the bytes: the session between R and the agent is end to end.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from relay_kernel.link.errors import LinkError

if TYPE_CHECKING:
    from relay_kernel.link.channel import Channel

#: Bytes taken at a time. What waits in between is bounded by this and the SSH window (2 MiB).
CHUNK = 64 * 1024


async def splice(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, channel: Channel
) -> int:
    """Carry bytes both ways until the PC's side ends; then close the client.

    Each way waits for the slower end. When the client says that it will send no more, the command
    on the PC sees the end of its input, and its output goes on. When the PC's side ends, the
    client is closed at once, after what had arrived; when the connection is lost, it is aborted.

    Args:
        reader: From the client.
        writer: To the client.
        channel: To the PC. Closing it is left to the caller.

    Returns:
        How many bytes came from the PC.
    """
    upward = asyncio.create_task(_send(reader, channel))
    try:
        return await _receive(channel, writer)
    finally:
        upward.cancel()
        await asyncio.gather(upward, return_exceptions=True)


async def _send(reader: asyncio.StreamReader, channel: Channel) -> None:
    try:
        while data := await reader.read(CHUNK):
            await channel.write(data)
        channel.write_eof()
    except (LinkError, ConnectionError):
        # Closing makes the other direction end, which ends the splice.
        channel.close()


async def _receive(channel: Channel, writer: asyncio.StreamWriter) -> int:
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
