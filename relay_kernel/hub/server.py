"""The hub: gives every client on the server a byte stream to the agent of a target."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from typing import TYPE_CHECKING

from relay_kernel import __version__
from relay_kernel.core.errors import RelayError
from relay_kernel.hub.joined import JoinedTrunk
from relay_kernel.hub.status import Entry, StatusBoard
from relay_kernel.hub.trunk import Trunk
from relay_kernel.link.errors import DialError, LinkError, OutdatedError
from relay_kernel.link.peer import is_own
from relay_kernel.link.socket_channel import SocketChannel
from relay_kernel.link.splice import splice
from relay_kernel.settings.config import ConfigError
from relay_kernel.settings.followed import FollowedConfig

if TYPE_CHECKING:
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds without a client after which the hub ends itself.
IDLE_AFTER = 600.0

#: Seconds for a client to say what it wants.
ASK_TIMEOUT = 10.0

#: How a PC that dials in begins when it brings a stream; a ticket follows.
STREAM = "relay-join stream "

#: Said to a client whose first line is no wish.
NOT_UNDERSTOOD = "the hub did not understand: is that another version of relay-kernel?"

#: What a stream may lead to at a target: its agent, the end of a plane, what the PC is like, what
#: its logs say.
PLANES = ("", "files", "envs", "facts", "logs")

#: Seconds that a client may wait here for a PC that dials in.
PATIENCE_MAX = 60.0


class Hub:
    """Serves one user's clients until SIGTERM, or until none was there for a while."""

    def __init__(self, places: Places, *, idle_after: float = IDLE_AFTER) -> None:
        self._places = places
        self._idle_after = idle_after
        self._board = StatusBoard(places.hub_status)
        self._trunks: dict[str, Trunk | JoinedTrunk] = {}
        self._retired: dict[str, Trunk | JoinedTrunk] = {}
        self._clients: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None
        self._streams = 0
        self._config = FollowedConfig(places.config)

    async def run(self) -> None:
        """Serve until the end; leaves no socket and no status behind. The caller holds the lock."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        self._places.hub_socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._accept, self._places.hub_socket)
        self._board.write()
        self._watch_idleness()
        log.info("hub %d serves at %s", os.getpid(), self._places.hub_socket)
        try:
            await self._over.wait()
        finally:
            self._places.hub_socket.unlink(missing_ok=True)
            server.close()
            await self._close()
            log.info("hub %d ends", os.getpid())

    async def _close(self) -> None:
        for trunk in (*self._trunks.values(), *self._retired.values()):
            trunk.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._board.remove()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._left)
        self._watch_idleness()

    def _left(self, client: asyncio.Task[None]) -> None:
        self._clients.discard(client)
        self._watch_idleness()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its wish to its end. Nothing that happens here harms another."""
        try:
            if is_own(writer.get_extra_info("socket")):
                await self._join(reader, writer)
            else:
                log.warning("a client of another user was refused")
        except (ValueError, RecursionError) as error:
            log.warning("a client was dropped: what it asked for is not understood: %s", error)
            with contextlib.suppress(OSError):
                await _answer(writer, {"error": NOT_UNDERSTOOD, "permanent": True})
        except (OSError, TimeoutError) as error:
            log.info("a client was dropped: %s", error or type(error).__name__)
        except Exception:
            log.exception("a client was dropped")
        finally:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(ASK_TIMEOUT):
            wish = json.loads(await reader.readline())
        if not isinstance(wish, dict):
            raise ValueError("it asked for nothing")
        if "gateway" in wish:
            await self._admit(str(wish["gateway"]), str(wish.get("wish")), reader, writer)
        else:
            await self._open(wish, reader, writer)

    async def _open(
        self, wish: dict[str, object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A notebook wants a stream to the agent of a target, or the file plane one to its end."""
        patience = wish.get("patience")
        seconds = float(patience) if isinstance(patience, int | float) else 0.0
        plane = str(wish.get("plane", ""))
        if plane not in PLANES:
            raise ValueError(f"there is no plane {plane!r}")
        with contextlib.ExitStack() as use:
            try:
                if self._makes_way(wish.get("version", __version__), plane):
                    return
                trunk = self._trunk(str(wish.get("open")))
                use.enter_context(trunk.in_use())
                channel = await trunk.open_channel(min(seconds, PATIENCE_MAX), plane)
            except RelayError as error:
                await _answer(writer, _refusal(error))
                return
            # The file plane's streams keep nobody from another version: it changes with the hub.
            counted = 0 if plane else 1
            self._streams += counted
            try:
                await _answer(writer, {"ok": True})
                if await splice(reader, writer, channel) == 0 and await channel.finish(1.0):
                    trunk.started_badly(channel.complaint, plane)
            finally:
                self._streams -= counted
                channel.close()

    def _makes_way(self, version: object, plane: str) -> bool:
        """End for a notebook of another version, unless others of ours are served.

        Raises:
            DialError: They are; or it is a file plane of another version, which shall end.
        """
        if version == __version__:
            return False
        if plane:
            raise OutdatedError(f"the hub is version {__version__}, and the file plane {version}")
        if self._streams:
            raise DialError(
                f"the hub is version {__version__} and this notebook {version}: "
                f"it changes when its {self._streams} notebooks of version {__version__} are closed"
            )
        log.info("the hub makes way for version %s", version)
        self._over.set()
        return True

    async def _admit(
        self, name: str, wish: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A PC has dialled in, with the key of ``name``, and wants what the gateway let pass."""
        channel = SocketChannel(name, reader, writer)
        try:
            trunk = self._trunk(name)
            if not isinstance(trunk, JoinedTrunk):
                raise DialError(
                    f"{name} does not dial in here: run relay add {name} --dials-in on the server"
                )
        except RelayError as error:
            await _answer(writer, {"error": str(error)})
            return
        try:
            if wish.startswith(STREAM):
                await trunk.deliver(wish.removeprefix(STREAM), channel)
            else:
                await trunk.serve(channel)
        except LinkError as error:
            log.info("%s: %s", name, error)
        finally:
            channel.close()

    def _trunk(self, name: str) -> Trunk | JoinedTrunk:
        """The connections to ``name``, by the configuration as it is now.

        Raises:
            ConfigError: ``config.toml`` is wrong.
            DialError: It has no such target.
        """
        self._refresh()
        trunk = self._trunks.get(name)
        if trunk is None:
            known = ", ".join(target.name for target in self._config.now.targets) or "none"
            raise DialError(
                f"{self._places.config} has no target {name} (it has: {known}): "
                f"run relay add {name}",
                permanent=True,
            )
        return trunk

    def _refresh(self) -> None:
        """Follow ``config.toml``; until a wrong one is mended, nobody gets a stream.

        Raises:
            ConfigError: It is wrong.
        """
        with contextlib.suppress(ConfigError):
            if self._config.look():
                self._follow({target.name: target for target in self._config.now.targets})
        if self._config.wrong is not None:
            raise self._config.wrong

    def _follow(self, wanted: dict[str, TargetConfig]) -> None:
        """A cell at a target that is named no more ends there; on another road, it goes on."""
        for name, trunk in list(self._trunks.items()):
            if name not in wanted:
                self._retired[name] = self._trunks.pop(name)
                trunk.retire(at_once=False)
            elif not _same_road(trunk.target, wanted[name]):
                self._trunks.pop(name).retire(at_once=True)
        for name, target in wanted.items():
            if name not in self._trunks:
                self._trunks[name] = self._make_trunk(target)
                if name in self._retired:
                    # Nobody shall use one machine for its cells and another for its files.
                    self._retired.pop(name).close()

    def _make_trunk(self, target: TargetConfig) -> Trunk | JoinedTrunk:
        entry = Entry(self._board, target.name)
        if target.dials_in:
            return JoinedTrunk(target, entry)
        return Trunk(target, self._places, entry)

    def _watch_idleness(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if not self._clients:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._idle_after, self._over.set)


def _refusal(error: RelayError) -> dict[str, object]:
    return {
        "error": str(error),
        "permanent": not isinstance(error, DialError) or error.permanent,
        "waited": isinstance(error, DialError) and error.waited,
        "outdated": isinstance(error, OutdatedError),
    }


async def _answer(writer: asyncio.StreamWriter, answer: dict[str, object]) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()
    if "error" in answer:
        writer.close()
        await writer.wait_closed()


def _same_road(old: TargetConfig, new: TargetConfig) -> bool:
    """Whether a connection made for ``old`` serves ``new``; its place in the order is no matter."""
    return (old.ssh, old.identity, old.python, old.dials_in) == (
        new.ssh,
        new.identity,
        new.python,
        new.dials_in,
    )
