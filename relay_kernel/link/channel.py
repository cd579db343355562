"""A raw byte stream to a command on the PC: one channel of an SSH connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import asyncssh

from relay_kernel.link.errors import LinkError

if TYPE_CHECKING:
    SSHWriter = asyncssh.SSHWriter[bytes]
    SSHReader = asyncssh.SSHReader[bytes]

log = logging.getLogger(__name__)

#: Bytes of the command's error output that are kept and logged; the rest is dropped.
ERRORS_KEPT = 64 * 1024


class Channel:
    """The input and output of a command on the PC, as bytes. One reader, one writer.

    What the command says on its error output is logged, and its first line kept for errors.
    """

    def __init__(self, name: str, writer: SSHWriter, reader: SSHReader, errors: SSHReader) -> None:
        self.complaint = ""
        """The first line of the command's error output, so far."""
        self._name = name
        self._writer = writer
        self._reader = reader
        self._errors = errors
        self._listening = asyncio.create_task(self._listen())

    async def read(self, size: int) -> bytes:
        """Up to ``size`` bytes as soon as there are some; empty at the end of the output.

        Raises:
            LinkError: The connection was lost.
        """
        try:
            return await self._reader.read(size)
        except (OSError, asyncssh.Error) as error:
            raise LinkError(f"the connection to {self._name} was lost: {error}") from error

    async def write(self, data: bytes) -> None:
        """Hand over ``data``; waits while the PC takes none. Return says nothing of arrival.

        Raises:
            LinkError: The connection was lost, or the command has ended.
        """
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, asyncssh.Error) as error:
            raise LinkError(f"the connection to {self._name} was lost: {error}") from error

    def write_eof(self) -> None:
        """Tell the command that its input ends here. Its output goes on."""
        with contextlib.suppress(OSError):
            if not self._writer.is_closing():
                self._writer.write_eof()

    async def finish(self, timeout: float) -> int | None:
        """Close, wait for the end, and return the exit status; ``None`` if it is not known."""
        channel: Any = self._writer.channel
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await channel.wait_closed()
        self.close()
        status = channel.get_exit_status()
        return int(status) if status is not None else None

    def close(self) -> None:
        """End the stream in both directions; the command sees its pipes close."""
        self._listening.cancel()
        self._writer.channel.abort()

    async def _listen(self) -> None:
        kept = 0
        with contextlib.suppress(OSError, asyncssh.Error):
            while line := await self._errors.readline():
                kept += len(line)
                text = line.decode(errors="replace").strip()
                self.complaint = self.complaint or text
                if kept <= ERRORS_KEPT:
                    log.info("%s: %s", self._name, text)
