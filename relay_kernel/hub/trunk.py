"""The SSH connections to one target, shared by all clients of the hub."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel import __version__
from relay_kernel.hub.shared import Shared
from relay_kernel.link.errors import DialError, MissingAgentError, TooManyChannelsError
from relay_kernel.link.install import install_agent
from relay_kernel.link.probe import attach_command, probe
from relay_kernel.link.reasons import place
from relay_kernel.link.ssh import Connection, connect

if TYPE_CHECKING:
    from relay_kernel.hub.status import Entry
    from relay_kernel.link.channel import Channel
    from relay_kernel.link.probe import Surroundings
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

#: What such a failure is kept under: it answers for every plane.
_ALL = "*"


@dataclass(frozen=True)
class _Line:
    conn: Connection
    around: Surroundings
    plane: str

    async def open_channel(self, plane: str) -> Channel:
        """Start what ``plane`` leads to."""
        return await self.conn.open_channel(attach_command(self.conn, self.around, plane))


def _road(plane: str) -> str:
    """Whose connection carries ``plane``: what is small shares the agents'."""
    return plane if plane in {"files", "envs"} else ""


class Trunk(Shared):
    """All channels to one target. Dials when a client asks, never by itself.

    One connection carries everybody, and one more the files: what is large never stands before a
    kernel's message. Another is dialled only when the PC's sshd grants no more channels on those
    that stand.
    """

    def __init__(self, target: TargetConfig, places: Places, entry: Entry) -> None:
        super().__init__(target, entry)
        self._places = places
        self._lines: list[_Line] = []
        self._dialling: dict[str, asyncio.Task[_Line]] = {}
        self._installing: asyncio.Task[None] | None = None
        self._watchers: set[asyncio.Task[None]] = set()
        self._closed = False
        self._failures: dict[str, tuple[DialError, float]] = {}

    async def open_channel(self, patience: float = 0.0, plane: str = "") -> Channel:
        """A new byte stream to the agent, on the connection that stands or a new one.

        Args:
            patience: Without effect: whoever dials learns soon enough.
            plane: Empty for the agent, else one of the hub's other planes.

        Raises:
            DialError: Says what to do. The same for all who ask within :data:`DIAL_MEMORY`.
        """
        self._recall_failure(plane)
        if self._installing is not None:
            raise self._being_installed()
        road = _road(plane)
        for line in reversed([line for line in self._lines if line.plane == road]):
            try:
                return await line.open_channel(plane)
            except TooManyChannelsError:
                continue
            except DialError:
                # A connection that starts nothing is of no use to the others either.
                line.conn.abort()
                raise
        line = await self._dial(road)
        return await line.open_channel(plane)

    def started_badly(self, complaint: str, plane: str = "") -> None:
        """The agent's command ended before it had said anything."""
        reason = f"{place(self.target)}: the agent did not start: {complaint or 'it said nothing'}"
        self._fail(DialError(reason), START_MEMORY, plane)

    def close(self) -> None:
        """See :class:`Shared`."""
        self._closed = True
        for task in (*self._dialling.values(), self._installing):
            if task is not None:
                task.cancel()
        for line in self._lines:
            line.conn.abort()

    async def _dial(self, plane: str) -> _Line:
        """Join the dial that is under way, or begin one."""
        dial = self._dialling.get(plane)
        if dial is None:
            dial = self._dialling[plane] = asyncio.create_task(self._connect(plane))
            dial.add_done_callback(lambda done: self._dialled(done, plane))
        # A client that goes away does not take the dial from the others.
        return await asyncio.shield(dial)

    async def _connect(self, plane: str) -> _Line:
        conn = await connect(self.target, self._places)
        try:
            around = await probe(conn)
            # Whether there is an agent shall be known before anybody counts on it.
            attach_command(conn, around, plane)
            line = _Line(conn, around, plane)
        except MissingAgentError as error:
            # The connection is the installation's from here on.
            log.info("%s", error)
            self._installing = asyncio.create_task(self._install(conn))
            raise self._being_installed() from error
        except BaseException:
            conn.abort()
            raise
        self._lines.append(line)
        for answered in (plane, _ALL):
            self._failures.pop(answered, None)
        self._entry.linked(around.host)
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
            self._fail(error, INSTALL_MEMORY, _ALL)
        except Exception as error:
            log.exception("the agent could not be installed on %s", name)
            self._fail(DialError(f"{place(self.target)}: {error}"), INSTALL_MEMORY, _ALL)
        finally:
            self._installing = None
            conn.abort()

    def _being_installed(self) -> DialError:
        return DialError(
            f"{place(self.target)}: its agent of relay-kernel {__version__} is being installed; "
            "cells run elsewhere until it is there"
        )

    def _recall_failure(self, plane: str) -> None:
        for error, until in [self._failures[p] for p in (plane, _ALL) if p in self._failures]:
            if asyncio.get_running_loop().time() < until:
                raise DialError(error.reason, permanent=error.permanent)

    def _dialled(self, dial: asyncio.Task[_Line], plane: str) -> None:
        self._dialling.pop(plane, None)
        error = None if dial.cancelled() else dial.exception()
        if isinstance(error, DialError):
            self._fail(error, DIAL_MEMORY, plane)

    def _fail(self, error: DialError, memory: float, plane: str) -> None:
        log.info("%s", error.reason)
        self._failures[plane] = (error, asyncio.get_running_loop().time() + memory)
        if not self._lines:
            self._entry.absent(error.reason)

    async def _watch(self, line: _Line) -> None:
        await line.conn.wait_closed()
        self._lines.remove(line)
        log.info("%s: a connection ended", self.target.name)
        if not self._lines and not self._closed:
            self._entry.absent()
