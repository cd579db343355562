"""The standard streams of a command at the end of an SSH channel: spliced, or spoken on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import threading

from relay_kernel.link.stream import SocketStream

_CHUNK = 256 << 10
_LIMIT = 1 << 20


def join_stdio(connection: socket.socket) -> None:
    """Carry stdin to ``connection`` and back to stdout; return when the socket ends.

    When stdin ends, the process ends at once: the SSH channel is gone, and with it whoever would
    have read the rest. Uses threads and plain reads, since it only moves bytes.
    """
    threading.Thread(target=_upload, args=(connection,), daemon=True).start()
    with contextlib.suppress(OSError):
        while data := connection.recv(_CHUNK):
            _write(1, data)


def _upload(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, _CHUNK):
            connection.sendall(data)
    os._exit(0)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


async def open_stdio() -> SocketStream:
    """Standard input and output as one stream. Nothing else may use them."""
    source, sink = os.dup(0), os.dup(1)
    # Whatever prints must not print into the stream.
    os.dup2(2, 1)
    if stat.S_ISSOCK(os.fstat(source).st_mode):
        # Both are one socket; a transport for pipes takes what comes over it for its end.
        os.close(sink)
        return SocketStream(*await asyncio.open_unix_connection(sock=socket.socket(fileno=source)))
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(_LIMIT)
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(source, "rb", buffering=0))
    transport, flow = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(sink, "wb", buffering=0)
    )
    return SocketStream(reader, asyncio.StreamWriter(transport, flow, None, loop))
