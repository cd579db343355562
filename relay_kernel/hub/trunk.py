"""The SSH connections to one target, shared by all clients of the hub."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel import __version__
from relay_kernel.link.errors import DialError, MissingAgentError, TooManyChannelsError
from relay_kernel.link.install import install_agent
from relay_kernel.link.probe import attach_command, probe
from relay_kernel.link.reasons import place
from relay_kernel.link.ssh import Connection, connect

if TYPE_CHECKING:
    from relay_kernel.hub.status import StatusBoard
    from relay_kernel.link.channel import Channel
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds for which a failed dial answers everybody: all kernels ask at the same moment.
DIAL_MEMORY = 0.2

#: The same for an agent that did not start. Its clients learn of it at their next dial only,
#: since their answer was already given.
START_MEMORY = 1.0


#: The same for an installation: it failed after minutes, and would again.
INSTALL_MEMORY = 60.0


@dataclass(frozen=True)
class _Line:
    conn: Connection
    command: str


class Trunk:
    """All channels to one target. Dials when a client asks, never by itself.

    One connection carries everybody. Another is dialled only when the PC's sshd grants no more
    channels on those that stand.
    """

    def __init__(self, target: TargetConfig, places: Places, board: StatusBoard) -> None:
        self.target = target
        self._places = places
        self._board = board
        self._lines: list[_Line] = []
        self._dialling: asyncio.Task[_Line] | None = None
        self._installing: asyncio.Task[None] | None = None
        self._watchers: set[asyncio.Task[None]] = set()
        self._closed = False
        self._failure: tuple[DialError, float] | None = None

    async def open_channel(self, patience: float = 0.0) -> Channel:
        """A new byte stream to the agent, on the connection that stands or a new one.

        Args:
            patience: Without effect: whoever dials learns soon enough.

        Raises:
            DialError: Says what to do. The same for all who ask within :data:`DIAL_MEMORY`.
        """
        self._recall_failure()
        if self._installing is not None:
            raise self._being_installed()
        for line in reversed(self._lines):
            try:
                return await line.conn.open_channel(line.command)
            except TooManyChannelsError:
                continue
            except DialError:
                # A connection that starts nothing is of no use to the others either.
                line.conn.abort()
                raise
        line = await self._dial()
        return await line.conn.open_channel(line.command)

    def started_badly(self, complaint: str) -> None:
        """The agent's command ended before it had said anything."""
        reason = f"{place(self.target)}: the agent did not start: {complaint or 'it said nothing'}"
        self._fail(DialError(reason), START_MEMORY)

    def close(self) -> None:
        """End all connections and with them all channels, now. Nothing more is reported."""
        self._closed = True
        for task in (self._dialling, self._installing):
            if task is not None:
                task.cancel()
        for line in self._lines:
            line.conn.abort()

    async def _dial(self) -> _Line:
        """Join the dial that is under way, or begin one."""
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._connect())
            self._dialling.add_done_callback(self._dialled)
        # A client that goes away does not take the dial from the others.
        return await asyncio.shield(self._dialling)

    async def _connect(self) -> _Line:
        conn = await connect(self.target, self._places)
        try:
            around = await probe(conn)
            line = _Line(conn, attach_command(conn, around))
        except MissingAgentError as error:
            # The connection is the installation's from here on.
            log.info("%s", error)
            self._installing = asyncio.create_task(self._install(conn))
            raise self._being_installed() from error
        except BaseException:
            conn.abort()
            raise
        self._lines.append(line)
        self._failure = None
        self._board.linked(self.target.name, around.host)
        watcher = asyncio.create_task(self._watch(line))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        log.info("%s is linked", self.target.name)
        return line

    async def _install(self, conn: Connection) -> None:
        """Put this version's agent on a PC that was paired before."""
        name = self.target.name
        try:
            around = await probe(conn, everything=True)
            await install_agent(conn, around, show=lambda step: log.info("%s: %s", name, step))
            log.info("%s has the agent of relay-kernel %s now", name, __version__)
        except DialError as error:
            self._fail(error, INSTALL_MEMORY)
        except Exception as error:
            log.exception("the agent could not be installed on %s", name)
            self._fail(DialError(f"{place(self.target)}: {error}"), INSTALL_MEMORY)
        finally:
            self._installing = None
            conn.abort()

    def _being_installed(self) -> DialError:
        return DialError(
            f"{place(self.target)}: its agent of relay-kernel {__version__} is being installed; "
            "cells run elsewhere until it is there"
        )

    def _recall_failure(self) -> None:
        if self._failure is not None:
            error, until = self._failure
            if asyncio.get_running_loop().time() < until:
                raise DialError(error.reason, permanent=error.permanent)

    def _dialled(self, dial: asyncio.Task[_Line]) -> None:
        self._dialling = None
        error = None if dial.cancelled() else dial.exception()
        if isinstance(error, DialError):
            self._fail(error, DIAL_MEMORY)

    def _fail(self, error: DialError, memory: float) -> None:
        log.info("%s", error.reason)
        self._failure = (error, asyncio.get_running_loop().time() + memory)
        if not self._lines:
            self._board.absent(self.target.name, error.reason)

    async def _watch(self, line: _Line) -> None:
        await line.conn.wait_closed()
        self._lines.remove(line)
        log.info("%s: a connection ended", self.target.name)
        if not self._lines and not self._closed:
            self._board.absent(self.target.name)
