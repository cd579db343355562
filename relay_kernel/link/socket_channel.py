"""A byte stream to a PC that dialled in: its gateway's end of the hub's Unix socket."""

from __future__ import annotations

import asyncio
import contextlib

from relay_kernel.link.errors import LinkError


class SocketChannel:
    """What :class:`relay_kernel.link.channel.Channel` is for a PC that was dialled."""

    def __init__(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.complaint = ""
        """Always empty: a PC that dials in says what is wrong before it opens a stream."""
        self._name = name
        self._reader = reader
        self._writer = writer
        self._closed = asyncio.Event()

    async def read(self, size: int) -> bytes:
        """See :class:`relay_kernel.link.splice.Duplex`."""
        try:
            return await self._reader.read(size)
        except OSError as error:
            raise LinkError(f"the connection to {self._name} was lost: {error}") from error

    async def write(self, data: bytes) -> None:
        """See :class:`relay_kernel.link.splice.Duplex`."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise LinkError(f"the connection to {self._name} was lost: {error}") from error

    def write_eof(self) -> None:
        """See :class:`relay_kernel.link.splice.Duplex`."""
        with contextlib.suppress(OSError):
            if not self._writer.is_closing():
                self._writer.write_eof()

    async def finish(self, timeout: float) -> int | None:
        """See :class:`relay_kernel.link.splice.Duplex`. There is no command, and no status."""
        self.close()
        return None

    def close(self) -> None:
        """See :class:`relay_kernel.link.splice.Duplex`."""
        self._writer.transport.abort()
        self._closed.set()

    async def wait_closed(self) -> None:
        """Return once :meth:`close` was called."""
        await self._closed.wait()
