"""An SSH server in one Python process: a PC that needs no sshd, for ``relay demo``.

It listens on the loopback address only, knows one key, and runs the commands that it is asked to
run; no shell, no SFTP, no forwarding. Two rules, each learnt from a failure:

1. An error that leaves the handler of one command ends the connection with all its channels, so
   none leaves it.
2. Whoever writes also drains, in both directions: asyncssh buffers without limit for those who
   do not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import asyncssh

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    Served = asyncssh.SSHServerProcess[bytes]

log = logging.getLogger(__name__)

#: The only address it ever listens on.
HOST = "127.0.0.1"

#: Seconds in which a client must have logged in.
LOGIN_TIMEOUT = 10.0

#: The exit status of a command that could not be run, as OpenSSH's client has it.
BROKEN = 255

#: Seconds for the pipes of a killed command to close: what it left in the background may hold them.
END_TIMEOUT = 2.0

_CHUNK = 64 << 10


class EmbeddedServer:
    """An SSH server on a loopback port; also an async context manager.

    Attributes:
        port: Where it listens, once it was started.
    """

    def __init__(
        self,
        host_key: Path,
        authorized_keys: Path,
        *,
        home: Path,
        env: dict[str, str],
        port: int = 0,
    ) -> None:
        """Prepare it; :meth:`start` starts it.

        Args:
            host_key: Its private key.
            authorized_keys: Who may log in, under any name; in OpenSSH's format.
            home: The folder that commands start in.
            env: The whole environment of the commands.
            port: Where to listen; 0 takes a free one.
        """
        self.port = port
        self._host_key = host_key
        self._authorized_keys = authorized_keys
        self._home = home
        self._env = env
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._handlers: set[asyncio.Task[None]] = set()

    async def start(self) -> Self:
        """Listen.

        Raises:
            OSError: The port is taken, or a key cannot be read.
        """
        self._acceptor = await asyncssh.listen(
            HOST,
            self.port,
            acceptor=self._accept,
            config=None,
            server_host_keys=[str(self._host_key)],
            authorized_client_keys=str(self._authorized_keys),
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
            process_factory=self._start_handler,
            encoding=None,
            allow_pty=False,
            agent_forwarding=False,
            login_timeout=LOGIN_TIMEOUT,
        )
        self.port = self._acceptor.get_port()
        return self

    async def close(self) -> None:
        """End it, its connections and the commands that still run on them."""
        if self._acceptor is None:
            return
        self._acceptor.close()
        for connection in list(self._connections):
            connection.abort()
            await connection.wait_closed()
        if self._handlers:
            await asyncio.wait(self._handlers)
        await self._acceptor.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _accept(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.add(connection)
        connection.create_task(self._forget(connection))

    async def _forget(self, connection: asyncssh.SSHServerConnection) -> None:
        await connection.wait_closed()
        self._connections.discard(connection)

    def _start_handler(self, served: Served) -> None:
        # In a task of our own: asyncssh's end with the connection, with no time to end the command.
        handler = asyncio.create_task(self._handle(served))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _handle(self, served: Served) -> None:
        try:
            if served.command is None or served.subsystem is not None:
                served.stderr.write(b"only commands can be run here\n")
                status = BROKEN
            else:
                status = await self._run(served, served.command)
            served.exit(status)
        except Exception as error:
            log.warning("a command was given up: %r", error)
            with contextlib.suppress(OSError, asyncssh.Error):
                served.exit(BROKEN)

    async def _run(self, served: Served, command: str) -> int:
        """Run ``command``, joined to its channel; return its exit status as a shell has it."""
        child = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._home,
            env=self._env,
            # A group of its own, so that it can be ended with all that it started.
            start_new_session=True,
        )
        assert child.stdin is not None
        feed = asyncio.create_task(_feed(served.stdin, child.stdin))
        closed = asyncio.create_task(served.channel.wait_closed())
        work = asyncio.create_task(_empty(child, served))
        try:
            await asyncio.wait((work, closed), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ConnectionResetError("its channel was closed")
            status = await work
        finally:
            await _cancel(feed, closed, work)
            if child.returncode is None:
                await _end(child)
        return status if status >= 0 else 128 - status


async def _feed(reader: asyncssh.SSHReader[bytes], writer: asyncio.StreamWriter) -> None:
    """Carry the channel's input to the command. One that reads nothing more is no error."""
    with contextlib.suppress(OSError, asyncssh.Error, asyncssh.SignalReceived):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end(child: Process) -> None:
    """Kill a command and all of its group, and take the little that its pipes still hold."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(child.communicate(), END_TIMEOUT)


async def _empty(child: Process, served: Served) -> int:
    """Carry the command's output to the channel, and wait for its end."""
    assert child.stdout is not None
    assert child.stderr is not None
    async with asyncio.TaskGroup() as both:
        both.create_task(_carry(child.stdout, served.stdout))
        both.create_task(_carry(child.stderr, served.stderr))
    return await child.wait()


async def _carry(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def serve(host_key: Path, authorized_keys: Path, port: int) -> None:
    """Serve with this process's own environment until its standard input ends.

    Prints the port as soon as it listens. Whoever started it holds the other end of the input, so
    it never outlives that process.
    """
    home = Path(os.environ.get("HOME", "/"))
    server = EmbeddedServer(host_key, authorized_keys, home=home, env=dict(os.environ), port=port)
    async with server:
        print(server.port, flush=True)
        leash = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(leash), sys.stdin
        )
        await leash.read()


def main() -> None:
    """``python -m relay_kernel.link.embedded``: a PC in a process."""
    parser = argparse.ArgumentParser(description="An SSH server on the loopback address.")
    parser.add_argument("--host-key", type=Path, required=True)
    parser.add_argument("--authorized-keys", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(asked.host_key, asked.authorized_keys, asked.port))
    except OSError as error:
        sys.exit(f"cannot listen on {HOST}, port {asked.port}: {error.strerror or error}")


if __name__ == "__main__":
    main()
