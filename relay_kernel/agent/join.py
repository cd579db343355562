"""``relay join``: a PC behind NAT keeps a line up to the server, and opens streams when asked.

No sshd and no open port here. The hub asks over the line for a stream to the agent; each is one
more channel of the same SSH connection, with the gateway at its far end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from relay_kernel.agent.attach import open_agent, open_envs, open_facts, open_files, open_logs
from relay_kernel.agent.identity import introduction
from relay_kernel.core.errors import RelayError
from relay_kernel.link.dialling import BACK_OFF
from relay_kernel.link.errors import DialError, LinkError, LoginRefusedError, TooManyChannelsError
from relay_kernel.link.lines import Lines
from relay_kernel.link.reasons import place
from relay_kernel.link.splice import splice
from relay_kernel.link.ssh import Connection, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.agent.attach import Attached
    from relay_kernel.link.channel import Channel
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: How much of a pause is left to chance: many PCs do not dial in the same moment.
JITTER = 0.2

#: Seconds until a server that said no is asked again: a person may have mended it.
REFUSED = 10.0

#: Seconds for which the agent's goodbyes go first: the hub cuts all streams when it hears ours.
AFTER_YOU = 1.0

#: Seconds from the gateway's start, and perhaps the hub's, to the hub's welcome.
WELCOME_TIMEOUT = 25.0


class Shown(Protocol):
    """Takes what changed."""

    def __call__(self, line: str, *, joined: bool) -> None:
        """Show ``line``."""


class Joining:
    """Keeps this PC joined to one server, until :meth:`stop`.

    Args:
        server: How it is dialled; its host key is pinned under this name.
        places: Of this user, here.
        show: Called with one line whenever something changed, and with whether this PC is joined.
        pairing: The command that lets our key in, to be run on the server.
    """

    def __init__(self, server: TargetConfig, places: Places, show: Shown, pairing: str) -> None:
        self._server = server
        self._pairing = pairing
        self._places = places
        self._show = show
        self._said = ""
        self._lines: Lines | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._over = False
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Dial, serve, and dial again; returns after :meth:`stop`."""
        tries = 0
        while not self._over:
            began = time.monotonic()
            self._hurry.clear()
            self._attempt = asyncio.create_task(self._serve())
            try:
                await asyncio.wait({self._attempt})
            finally:
                self._attempt.cancel()
            pause = self._judge(self._attempt, tries)
            tries = 0 if time.monotonic() - began > BACK_OFF[-1] else tries + 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), pause)

    async def stop(self, reason: str) -> None:
        """Say goodbye, and make :meth:`run` return."""
        self._over = True
        await self.part(reason)
        self.redial()

    async def part(self, reason: str) -> None:
        """Say goodbye on the present line, if there is one; the line stays until it is cut."""
        if self._lines is not None:
            with contextlib.suppress(LinkError, TimeoutError):
                await asyncio.wait_for(self._lines.send(bye=reason), 1.0)

    async def leave(self, reason: str) -> None:
        """The machine is about to go: part, once the agent's own goodbyes had time to pass."""
        await asyncio.sleep(AFTER_YOU)
        await self.part(reason)

    def redial(self) -> None:
        """The network may have changed under us: drop what stands, and dial without waiting."""
        self._hurry.set()
        if self._attempt is not None:
            self._attempt.cancel()

    def _judge(self, attempt: asyncio.Task[None], tries: int) -> float:
        """Say how an attempt ended; return the seconds until the next."""
        pause = BACK_OFF[min(tries, len(BACK_OFF) - 1)] * (1 + JITTER * random.random())
        error = None if attempt.cancelled() else attempt.exception()
        if isinstance(error, LoginRefusedError):
            self._tell(
                f"{place(self._server)} does not let this PC's key in yet: "
                f"run there: {self._pairing}"
            )
            return REFUSED
        if isinstance(error, DialError):
            self._tell(error.reason)
            return REFUSED if error.permanent else pause
        if isinstance(error, LinkError):
            self._tell(f"{place(self._server)}: {error}")
        elif error is not None:
            raise error
        return pause

    async def _serve(self) -> None:
        """One line to the hub, from the dial to its end.

        Raises:
            DialError: The server could not be dialled, or its hub wants none of us.
            LinkError: The line was lost.
        """
        server, places = self._server, self._places
        async with _Connections(server, places) as first, _Connections(server, places) as bulk:
            lines = self._lines = Lines(await first.open_channel("relay-join line"))
            streams: set[asyncio.Task[None]] = set()
            beat: asyncio.Task[None] | None = None
            try:
                await self._greet(lines)
                beat = asyncio.create_task(_beat(lines))
                roads = {
                    "": _Road(first, open_agent),
                    "files": _Road(bulk, open_files),
                    "envs": _Road(bulk, open_envs),
                    "facts": _Road(first, open_facts),
                    "logs": _Road(first, open_logs),
                }
                await self._listen(lines, roads, streams)
            finally:
                self._lines = None
                await _cancel(*streams, *([beat] if beat else []))

    async def _greet(self, lines: Lines) -> None:
        await lines.send(**introduction())
        try:
            said = await lines.receive(WELCOME_TIMEOUT)
        except LinkError as error:
            raise DialError(f"{place(self._server)}: {error}") from error
        if said is None:
            status = await lines.channel.finish(1.0)
            complaint = lines.channel.complaint or f"it ended with status {status}"
            raise DialError(f"{place(self._server)}: the gateway did not start: {complaint}")
        if "error" in said:
            raise DialError(f"{place(self._server)}: {said['error']}", permanent=True)
        welcome: dict[str, Any] = said.get("welcome", {})
        self._tell(f"joined {self._server.ssh} as {welcome.get('name')}", joined=True)

    async def _listen(
        self, lines: Lines, roads: dict[str, _Road], streams: set[asyncio.Task[None]]
    ) -> None:
        while (said := await lines.receive()) is not None:
            road = roads.get(str(said.get("plane", "")))
            if "open" in said and road is not None:
                stream = asyncio.create_task(self._stream(lines, road, str(said["open"])))
                streams.add(stream)
                stream.add_done_callback(streams.discard)
        raise LinkError("the server closed the line")

    async def _stream(self, lines: Lines, road: _Road, ticket: str) -> None:
        """Join what is asked for to a new channel to the hub; tell the hub if that cannot be."""
        try:
            async with contextlib.AsyncExitStack() as stack:
                reader, writer = await stack.enter_async_context(road.attached(self._places))
                channel = await road.connections.open_channel(f"relay-join stream {ticket}")
                stack.callback(channel.close)
                await splice(reader, writer, channel)
        except (OSError, RelayError) as error:
            log.warning("a stream could not be opened: %s", error)
            with contextlib.suppress(LinkError):
                await lines.send(failed=ticket, why=f"the agent cannot be reached: {error}")

    def _tell(self, line: str, *, joined: bool = False) -> None:
        """Show what is new; a server that is away for a night is told of once."""
        if line != self._said:
            self._said = line
            self._show(line, joined=joined)


@dataclass(frozen=True)
class _Road:
    """Where the streams of one plane lead here, and the connections that they have there."""

    connections: _Connections
    attached: Callable[[Places], Attached]


class _Connections:
    """The SSH connections of one line: one, and more where sshd's ``MaxSessions`` is reached."""

    def __init__(self, server: TargetConfig, places: Places) -> None:
        self._server = server
        self._places = places
        self._open: list[Connection] = []
        self._dialling = asyncio.Lock()

    async def __aenter__(self) -> _Connections:
        return self

    async def __aexit__(self, *_: object) -> None:
        for conn in self._open:
            conn.abort()

    async def open_channel(self, command: str) -> Channel:
        """A channel on a connection that has room, or on a new one.

        Raises:
            DialError: There is none to be had.
        """
        async with self._dialling:
            for conn in reversed(self._open):
                with contextlib.suppress(TooManyChannelsError):
                    return await conn.open_channel(command)
            pairing = f"relay join {self._server.ssh}"
            conn = await connect(self._server, self._places, pairing=pairing)
            self._open.append(conn)
        return await conn.open_channel(command)


async def _beat(lines: Lines) -> None:
    # The reader notices the end, and says why.
    with contextlib.suppress(LinkError):
        await lines.beat()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
