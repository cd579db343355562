"""``relay agent --attach``: what an SSH channel runs. Joins its standard streams to the agent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from relay_kernel.link.door import lend_stdio
from relay_kernel.link.peer import is_own
from relay_kernel.link.stdio import join_stdio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

#: Seconds that a new agent may take to listen.
START = 10.0

_POLL = 0.02

Attached = AbstractAsyncContextManager[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
"""A byte stream to a process of relay-kernel on this PC; closed at the end."""


def attach(places: Places) -> int:
    """Join stdin and stdout to the agent's socket, starting the agent if there is none.

    Returns:
        An exit code; an error is one line on stderr, which the hub shows to the user.
    """
    try:
        connection = reach_agent(places)
    except OSError as error:
        print(f"the agent cannot be started: {error}", file=sys.stderr)
        return 1
    if not lend_stdio(connection):
        join_stdio(connection)
    return 0


def reach_agent(places: Places) -> socket.socket:
    """A connection to this user's agent, starting it if there is none.

    Raises:
        OSError: It does not start, or does not listen within :data:`START` seconds.
        RelayError: Its folders cannot be made, or are not this user's own.
    """
    places.make()
    with contextlib.suppress(OSError):
        return _dial(places)
    process = _start(places)
    deadline = time.monotonic() + START
    while True:
        try:
            return _dial(places)
        except OSError:
            ended = process.poll()
            if ended or time.monotonic() > deadline:
                raise
        if ended == 0:
            # Another agent held the lock: one that listens soon, or one that was just ending.
            process = _start(places)
        time.sleep(_POLL)


@contextlib.asynccontextmanager
async def open_agent(
    places: Places,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A stream to the agent, which is started if there is none and stays.

    Raises:
        OSError, RelayError: See :func:`reach_agent`.
    """
    connection = await asyncio.to_thread(reach_agent, places)
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def open_files(places: Places) -> Attached:
    """A stream to a new end of the file plane: see :func:`_open_end`."""
    return _open_end(places, "--files", places.files_log)


def open_envs(places: Places) -> Attached:
    """A stream to a new end of the environment plane: see :func:`_open_end`."""
    return _open_end(places, "--envs", places.envs_log)


def open_facts(places: Places) -> Attached:
    """A stream from a process that says what this machine is like, and ends: see the doctor."""
    return _open_end(places, "--facts", places.agent_log)


def open_logs(places: Places) -> Attached:
    """A stream to a process that says what the logs here say, for ``relay logs``."""
    return _open_end(places, "--logs", places.agent_log)


@contextlib.asynccontextmanager
async def _open_end(
    places: Places, option: str, file: Path
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A stream to a new process of ours, mostly a plane's end, which ends with it.

    Raises:
        OSError: It cannot be started.
        RelayError: Its folders cannot be made, or are not this user's own.
    """
    places.make()
    ours, theirs = socket.socketpair()
    with theirs, file.open("ab") as log:
        command = (sys.executable, "-P", "-m", "relay_kernel.cli", "agent", option)
        end = theirs.fileno()
        await asyncio.create_subprocess_exec(
            *command, stdin=end, stdout=end, stderr=log, start_new_session=True, cwd="/"
        )
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        yield reader, writer
    finally:
        # It ends by itself, and asyncio reaps it; a new line to the server does not wait for that.
        writer.transport.abort()


def _start(places: Places) -> subprocess.Popen[bytes]:
    with places.agent_log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "relay_kernel.cli", "agent"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )


def _dial(places: Places) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(places.agent_socket))
        if not is_own(connection):
            raise PermissionError(f"{places.agent_socket} belongs to another user")
    except OSError:
        connection.close()
        raise
    return connection
