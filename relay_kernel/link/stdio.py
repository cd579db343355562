"""The standard streams of a command at the end of an SSH channel: spliced, or spoken on."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

from relay_kernel.link.pipes import PipeStream

if TYPE_CHECKING:
    import socket

_CHUNK = 256 << 10


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


def open_stdio() -> PipeStream:
    """Standard input and output as one stream. Nothing else may use them."""
    source, sink = os.dup(0), os.dup(1)
    # Whatever prints must not print into the stream.
    os.dup2(2, 1)
    return PipeStream(source, sink)
