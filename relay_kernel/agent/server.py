"""``relay agent``: the process on the PC that owns kernels, and outlives the links to it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import re
import shutil
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.agent.host import KernelHost
from relay_kernel.agent.identity import introduction
from relay_kernel.link.peer import is_own
from relay_kernel.link.pump import Pump
from relay_kernel.link.stream import SocketStream
from relay_kernel.store.chunks import Store, sweep
from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Decoder, Note, Type
from relay_kernel.wire.session import Parted, Received, Session, SessionEvent

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds that a connection may take to greet.
GREETING = 10.0
#: Seconds without any session after which the agent ends itself.
IDLE = 600.0
_TICK = 5.0
#: What names a session or a notebook; it becomes part of a path.
_NAME = re.compile(r"[0-9A-Za-z-]{1,80}")


@dataclass
class _Guest:
    """One notebook's session and its kernel."""

    id: str
    notebook: str
    keep: float
    host: KernelHost
    left_at: float | None = None


class AgentServer:
    """Sessions by id. A session whose notebook is out of reach is kept for as long as it asked."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._guests: dict[str, _Guest] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy_at = time.monotonic()
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Listen until nobody has wanted anything for a while, or until :meth:`stop`."""
        sweep(self._places.store, time.time())
        path = self._places.agent_socket
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connected, path)
        path.chmod(0o600)
        sweeper = asyncio.ensure_future(self._sweep())
        try:
            await self._ended.wait()
        finally:
            sweeper.cancel()
            server.close()
            path.unlink(missing_ok=True)
            for guest in list(self._guests.values()):
                guest.host.pump.part("the agent was stopped")
                await self._dismiss(guest)

    def stop(self) -> None:
        """Make :meth:`serve` return."""
        self._ended.set()

    # ------------------------------------------------------------------ links

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = SocketStream(reader, writer)
        if not is_own(writer.get_extra_info("socket")):
            log.warning("a connection of another user was refused")
            stream.close()
            return
        try:
            async with asyncio.timeout(GREETING):
                hello = await _greeting(stream)
            guest = await self._find(hello)
        except (ProtocolError, OSError, TimeoutError) as error:
            log.warning("a link was refused: %s", error or "no greeting")
            stream.close()
            return
        except _RefusedError as refused:
            stream.write([frames.note(Type.REFUSE, {**introduction(), "why": str(refused)})])
            with contextlib.suppress(OSError):
                await stream.drain()
            writer.close()
            return
        guest.left_at = None
        reason = await guest.host.pump.run(stream, hello=hello)
        if not guest.host.pump.linked:
            log.info("notebook %s is out of reach: %s", guest.notebook, reason)
            guest.left_at = time.monotonic()

    async def _find(self, hello: dict[str, Any]) -> _Guest:
        mine = introduction()["version"]
        if hello.get("version") != mine:
            raise _RefusedError(f"the agent is version {mine}, the server {hello.get('version')}")
        for old in hello.get("replaces", ()):
            if guest := self._guests.get(old):
                await self._dismiss(guest)
        name = str(hello.get("session"))
        if guest := self._guests.get(name):
            return guest
        if hello.get("resume"):
            raise _RefusedError("unknown session")
        return self._welcome(name, hello)

    def _welcome(self, name: str, hello: dict[str, Any]) -> _Guest:
        notebook = str(hello.get("notebook"))
        if not (_NAME.fullmatch(notebook) and _NAME.fullmatch(name)):
            raise ProtocolError("a session or a notebook has a name that is none")
        session = Session({**introduction(), "session": name}, float(hello["heartbeat"]))
        pump = Pump(session, lambda event: self._on_event(name, event))
        folder = self._places.run / f"a{name[:8]}"
        folder.mkdir(mode=0o700, exist_ok=True)
        host = KernelHost(pump, Store(self._places.store / notebook), folder)
        self._guests[name] = _Guest(name, notebook, float(hello["keep"]), host)
        return self._guests[name]

    def _on_event(self, name: str, event: SessionEvent) -> None:
        guest = self._guests.get(name)
        if guest is None:
            return
        if isinstance(event, Received):
            guest.host.handle(event.message)
        elif isinstance(event, Parted):
            log.info("notebook %s says goodbye: %s", guest.notebook, event.fields.get("reason"))
            task = asyncio.ensure_future(self._dismiss(guest, forever=True))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------ ends

    async def _dismiss(self, guest: _Guest, *, forever: bool = False) -> None:
        self._guests.pop(guest.id, None)
        guest.host.pump.close_link()
        await guest.host.close()
        shutil.rmtree(guest.host.folder, ignore_errors=True)
        if forever:
            guest.host.store.remove()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            for guest in list(self._guests.values()):
                if guest.left_at is not None and now - guest.left_at > guest.keep:
                    log.info("notebook %s did not come back: its kernel is ended", guest.notebook)
                    await self._dismiss(guest)
            if self._guests:
                self._busy_at = now
            elif now - self._busy_at > IDLE:
                self.stop()


class _RefusedError(Exception):
    """We will not go on with this session."""


async def _greeting(stream: SocketStream) -> dict[str, Any]:
    decoder = Decoder(largest=1 << 16)
    while data := await stream.read():
        for frame in decoder.feed(data):
            if isinstance(frame, Note) and frame.type is Type.HELLO:
                return frame.fields
            raise ProtocolError("the peer sent something else before its greeting")
    raise ProtocolError("the link was cut before a greeting")


def run_agent(places: Places) -> int:
    """Run the agent until it is not needed any more; return its exit code.

    0 also if another agent of this user runs already: one is enough.
    """
    places.make()
    lock = _lock(places.run / "agent.lock")
    if lock is None:
        return 0
    logging.basicConfig(
        filename=places.log / "agent.log", level=logging.INFO, format="%(asctime)s %(message)s"
    )
    with lock:
        asyncio.run(_main(places))
    return 0


async def _main(places: Places) -> None:
    server = AgentServer(places)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


def _lock(path: Path) -> Any:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
