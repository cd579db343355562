"""A Unix socket of this user's, at which a guest may also lend the stream that it was started with.

What sshd starts for a channel would otherwise stand between the channel and the socket for as long
as both are open, and move every byte once more. Instead it hands its own end over, and only waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

from relay_kernel.link.peer import is_own
from relay_kernel.link.pipes import PipeStream
from relay_kernel.link.stream import READ, SocketStream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from relay_kernel.link.stream import Stream

log = logging.getLogger(__name__)

#: Seconds for a guest to say something.
FIRST_WORDS = 10.0
#: Comes with what is lent, and is not part of any stream.
_LENT = b"\0"


class Door:
    """Takes on streams until it is closed. Processes of other users are turned away, and logged.

    Args:
        path: Of the socket; what is there is replaced.
        on_guest: Is run for each stream, and goes on when the door is closed.
    """

    def __init__(
        self,
        path: Path,
        on_guest: Callable[[Stream], Coroutine[Any, Any, None]],
    ) -> None:
        self._path = path
        self._on_guest = on_guest
        self._arriving: set[asyncio.Task[None]] = set()
        self._guests: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Listen.

        Raises:
            OSError: The socket cannot be made.
        """
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(self._path))
            self._path.chmod(0o600)
            listening.listen(128)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
        _spawn(self._listen(listening), self._arriving)

    def close(self) -> None:
        """Take on no more. Streams that were taken on are their owners'."""
        self._path.unlink(missing_ok=True)
        for task in self._arriving:
            task.cancel()

    async def _listen(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    guest, _ = await loop.sock_accept(listening)
                except OSError as error:
                    # Too many files are open: those of others may be closed soon.
                    log.warning("no guest can be taken on: %s", error)
                    await asyncio.sleep(0.1)
                    continue
                _spawn(self._admit(guest), self._arriving)

    async def _admit(self, guest: socket.socket) -> None:
        try:
            if not is_own(guest):
                log.warning("a connection of another user was refused")
                guest.close()
                return
            guest.setblocking(False)
            async with asyncio.timeout(FIRST_WORDS):
                stream = await _stream(guest)
        except BaseException as error:
            guest.close()
            if not isinstance(error, OSError | TimeoutError):
                raise
            log.info("a guest said nothing: %s", error or "it took too long")
            return
        _spawn(self._on_guest(stream), self._guests)


def _spawn(work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
    task = asyncio.ensure_future(work)
    among.add(task)
    task.add_done_callback(among.discard)


async def _stream(guest: socket.socket) -> Stream:
    """What the guest wants to speak on: its own connection, or what it lends with its first byte.

    Raises:
        OSError: It left, or what it lends is not what :func:`lend_stdio` does.
    """
    await _readable(guest)
    data, lent, _, _ = socket.recv_fds(guest, READ, 2)
    for number in lent:
        os.set_inheritable(number, False)
    try:
        if not lent:
            return await _own_connection(guest, data)
        source, sink = lent
        return PipeStream(source, sink, lender=guest)
    except BaseException as error:
        for number in lent:
            os.close(number)
        if isinstance(error, ValueError):
            raise OSError("it lent something else than an input and an output") from error
        raise


async def _readable(guest: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(guest, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(guest)


async def _own_connection(guest: socket.socket, begun: bytes) -> SocketStream:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    reader.feed_data(begun)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_connection(lambda: protocol, sock=guest)
    return SocketStream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def lend_stdio(connection: socket.socket) -> bool:
    """Hand this process's input and output over to a :class:`Door`; wait until it is done with it.

    Args:
        connection: To the door; nothing was sent on it yet.

    Returns:
        False, with nothing done, if they are something else than pipes and sockets.
    """
    try:
        modes = [os.fstat(number).st_mode for number in (0, 1)]
    except OSError:
        return False
    if not all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes):
        return False
    socket.send_fds(connection, [_LENT], [0, 1])
    with contextlib.suppress(OSError):
        connection.recv(1)
    return True
