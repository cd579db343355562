"""The SSH connections to one target, shared by all clients of the hub."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.link.errors import DialError, TooManyChannelsError
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
        self._watchers: set[asyncio.Task[None]] = set()
        self._closed = False
        self._failure: tuple[DialError, float] | None = None

    async def open_channel(self) -> Channel:
        """A new byte stream to the agent, on the connection that stands or a new one.

        Raises:
            DialError: Says what to do. The same for all who ask within :data:`DIAL_MEMORY`.
        """
        self._recall_failure()
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
        if self._dialling is not None:
            self._dialling.cancel()
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
