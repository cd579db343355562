"""A PC that dials in: its line to the hub, and the streams that it opens when it is asked to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from typing import TYPE_CHECKING, Any

from relay_kernel import __version__
from relay_kernel.hub.shared import Shared
from relay_kernel.link.errors import DialError, LinkError
from relay_kernel.link.lines import BEAT, Lines

if TYPE_CHECKING:
    from relay_kernel.hub.status import Entry
    from relay_kernel.link.socket_channel import SocketChannel
    from relay_kernel.settings.config import TargetConfig

log = logging.getLogger(__name__)

#: Seconds for the PC to start its agent and open a stream.
OPEN_TIMEOUT = 15.0


class _LineLostError(DialError):
    """The line ended before the stream came. Another may be on its way."""


class _Line:
    """One connection of the PC: what it said of itself, and what hangs on it."""

    def __init__(self, lines: Lines, hello: dict[str, Any]) -> None:
        self.lines = lines
        self.host = str(hello.get("host"))
        self.boot = str(hello.get("boot_id"))
        self.heard = asyncio.Event()
        self.awaited: dict[str, asyncio.Future[SocketChannel]] = {}
        self.streams: set[SocketChannel] = set()

    def close(self, reason: str) -> None:
        """End it and every stream that came with it: whoever waits for one learns why."""
        self.lines.channel.close()
        for waiting in self.awaited.values():
            if not waiting.done():
                waiting.set_exception(_LineLostError(reason))
        self.awaited.clear()
        for stream in list(self.streams):
            stream.close()


class JoinedTrunk(Shared):
    """All channels to a target that dials in. Asks for them over the line that the PC keeps up."""

    def __init__(self, target: TargetConfig, entry: Entry) -> None:
        super().__init__(target, entry)
        self._line: _Line | None = None
        self._arrived = asyncio.Event()

    async def open_channel(self, patience: float = 0.0, plane: str = "") -> SocketChannel:
        """A new byte stream to the agent.

        Args:
            patience: Seconds to wait for the PC, where it is not there.
            plane: Empty for the agent, ``files`` for the end of the file plane.

        Raises:
            DialError: The PC is not there, or cannot start its agent.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + patience
        while True:
            line = await self._reach(until - clock(), waits=patience > 0)
            try:
                return await self._ask(line, plane)
            except _LineLostError:
                # A line that was cut a moment ago may not be known to be; the next one may do.
                if clock() >= until:
                    raise

    async def _ask(self, line: _Line, plane: str) -> SocketChannel:
        """Have the PC open a stream, over the line that stands."""
        ticket = secrets.token_hex(8)
        waiting: asyncio.Future[SocketChannel] = asyncio.get_running_loop().create_future()
        line.awaited[ticket] = waiting
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await line.lines.send(open=ticket, **({"plane": plane} if plane else {}))
                return await waiting
        except TimeoutError as error:
            raise DialError(f"{self._where(line)} opens no stream in {OPEN_TIMEOUT:g} s") from error
        except DialError:
            raise
        except LinkError as error:
            self._drop(line, str(error))
            raise _LineLostError(f"{self._where(line)} left: {error}") from error
        finally:
            line.awaited.pop(ticket, None)

    def started_badly(self, complaint: str, plane: str = "") -> None:
        """Never said of a PC that dials in: it opens a stream only once its agent is there."""

    def close(self) -> None:
        """See :class:`Shared`."""
        if self._line is not None:
            self._line.close(f"{self.target.name} is configured no more")

    # ------------------------------------------------------------------ what the PC opens

    async def serve(self, channel: SocketChannel) -> None:
        """The PC's line, from its greeting to its end."""
        lines = Lines(channel)
        line = await self._greet(lines)
        if line is None:
            return
        await lines.send(welcome={"name": self.target.name, "version": __version__})
        self._put(line)
        beat = asyncio.create_task(lines.beat())
        reason = "it hung up"
        try:
            reason = await self._listen(line)
        except LinkError as error:
            reason = str(error)
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            self._drop(line, reason)

    async def deliver(self, ticket: str, channel: SocketChannel) -> None:
        """A stream that was asked for has come; returns when it is over."""
        line = self._line
        waiting = line.awaited.pop(ticket, None) if line else None
        if line is None or waiting is None or waiting.done():
            log.info("%s opened a stream that nobody waits for", self.target.name)
            return
        line.streams.add(channel)
        # Whoever waits takes it on in the same turn of the loop, or was cancelled before.
        waiting.set_result(channel)
        try:
            await channel.wait_closed()
        finally:
            line.streams.discard(channel)

    async def _greet(self, lines: Lines) -> _Line | None:
        """Hear who it is; ``None`` if it was refused."""
        hello = await lines.receive()
        if hello is None:
            return None
        line = _Line(lines, hello)
        wrong = self._refusal(hello) or await self._rival(line)
        if wrong:
            log.info("%s from %s was refused: %s", self.target.name, line.host, wrong)
            await lines.send(error=wrong)
            return None
        return line

    def _refusal(self, hello: dict[str, Any]) -> str | None:
        version = hello.get("version")
        if version == __version__:
            return None
        return (
            f"{self.target.name} has relay-kernel {version}, and the server {__version__}: install "
            f"relay-kernel=={__version__} on {hello.get('host')}, then run relay join there again"
        )

    async def _rival(self, line: _Line) -> str | None:
        """Why ``line`` may not take the place of the one that stands, if it may not.

        A newer line of the same machine always may: the older is dead, and does not know it yet.
        """
        old = self._line
        if old is None or old.boot == line.boot:
            return None
        old.heard.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * BEAT):
                await old.heard.wait()
                return (
                    f"another machine, {old.host}, is here as {self.target.name}: give "
                    f"{line.host} a name of its own with relay add NAME --dials-in on the server"
                )
        return None

    async def _listen(self, line: _Line) -> str:
        """Hear signs of life and what could not be opened; return why the line ended."""
        while (said := await line.lines.receive()) is not None:
            line.heard.set()
            if "bye" in said:
                return f"it said goodbye: {said['bye']}"
            waiting = line.awaited.get(str(said.get("failed")))
            if waiting is not None and not waiting.done():
                why = f"{self._where(line)}: {said.get('why') or 'it did not say why'}"
                waiting.set_exception(DialError(why))
        return "it hung up"

    # ------------------------------------------------------------------ what is believed

    async def _reach(self, patience: float, *, waits: bool) -> _Line:
        """The line that stands, as soon as there is one."""
        if self._line is None and patience > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), patience)
        if self._line is None:
            raise DialError(
                f"{self.target.name} dials in, and is not there: run relay join on it",
                waited=waits,
            )
        return self._line

    def _put(self, line: _Line) -> None:
        old, self._line = self._line, line
        if old is not None:
            log.info("%s dialled in anew", self.target.name)
            old.close(f"{self.target.name} dialled in anew")
        self._arrived.set()
        self._entry.linked(line.host)
        log.info("%s has joined from %s", self.target.name, line.host)

    def _drop(self, line: _Line, reason: str) -> None:
        line.close(f"{self._where(line)} left: {reason}")
        if self._line is line:
            self._line = None
            self._arrived.clear()
            self._entry.absent(f"{self._where(line)} left: {reason}")
            log.info("%s left: %s", self.target.name, reason)

    def _where(self, line: _Line) -> str:
        return f"{self.target.name} ({line.host})"
