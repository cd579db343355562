"""``relay agent --attach``: what an SSH channel runs. Splices its standard streams to the agent."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

#: Seconds that a new agent may take to listen.
START = 10.0
_CHUNK = 256 << 10


def attach(places: Places) -> int:
    """Join stdin and stdout to the agent's socket, starting the agent if there is none.

    Uses threads and plain reads, since it only moves bytes. Returns an exit code; an error is one
    line on stderr, which the hub shows to the user.
    """
    places.make()
    try:
        connection = _connect(places)
    except OSError as error:
        print(f"the agent cannot be started: {error}", file=sys.stderr)
        return 1
    threading.Thread(target=_upload, args=(connection,), daemon=True).start()
    with contextlib.suppress(OSError):
        while data := connection.recv(_CHUNK):
            _write(1, data)
    return 0


def _upload(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, _CHUNK):
            connection.sendall(data)
    # The server hung up. The kernel stays; this link does not.
    os._exit(0)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _connect(places: Places) -> socket.socket:
    with contextlib.suppress(OSError):
        return _dial(places)
    with (places.log / "agent.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "relay_kernel.cli", "agent"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + START
    pause = selectors.DefaultSelector()
    while True:
        try:
            return _dial(places)
        except OSError:
            if time.monotonic() > deadline or process.poll():
                raise
        pause.select(0.02)


def _dial(places: Places) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(places.agent_socket))
    except OSError:
        connection.close()
        raise
    return connection
