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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay_kernel.agent.departure import Departure, watch_sleep
from relay_kernel.agent.greeting import read_greeting
from relay_kernel.agent.host import KernelHost
from relay_kernel.agent.identity import introduction
from relay_kernel.link.clock import now
from relay_kernel.link.door import Door
from relay_kernel.link.loop import run
from relay_kernel.link.pump import Pump
from relay_kernel.store.cache import bound
from relay_kernel.store.chunks import Store, sweep
from relay_kernel.store.spool import SpoolFile
from relay_kernel.wire import frames, notes
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Type
from relay_kernel.wire.session import Answered, Parted, Received, Session, SessionEvent

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from relay_kernel.link.stream import Stream
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds that a connection may take to greet.
GREETING = 10.0
#: Seconds without any session after which the agent ends itself.
IDLE = 600.0
#: Seconds for a goodbye to get over the line; logind waits for 5 s in all.
FAREWELL = 2.0
_TICK = 5.0
#: Seconds between looks at how much the stores of notebooks take that are away.
LOOK = 3600.0
#: What names a session or a notebook; it becomes part of a path.
_NAME = re.compile(r"[0-9A-Za-z-]{1,80}")


@dataclass
class _Guest:
    """One notebook's session and its kernel."""

    id: str
    notebook: str
    keep: float
    host: KernelHost
    pump: Pump
    left_at: float | None = None
    apart: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while there is no link."""


class AgentServer:
    """Sessions by id. A session whose notebook is out of reach is kept for as long as it asked."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._guests: dict[str, _Guest] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy_at = now()
        self._ended = asyncio.Event()
        self._leaving = ""
        self._outdated = False

    async def serve(self) -> None:
        """Listen until nobody has wanted anything for a while, or until :meth:`stop`."""
        sweep(self._places.store, time.time())
        door = Door(self._places.agent_socket, self._connected)
        door.open()
        sweeper = asyncio.gather(self._sweep(), self._bound())
        try:
            await self._ended.wait()
        finally:
            sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeper
            door.close()
            for guest in list(self._guests.values()):
                guest.host.part("the agent was stopped")
                await self._dismiss(guest)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """Make :meth:`serve` return."""
        self._ended.set()

    async def part(self, reason: str) -> None:
        """The machine goes: say so to every notebook, and take none until :meth:`stay`.

        Returns when they have heard it, and hung up, or after :data:`FAREWELL` seconds. The kernels
        end after it: the notebooks have given them up, and a cell that went on here after a sleep
        would be run twice.
        """
        self._leaving = reason
        guests = list(self._guests.values())
        for guest in guests:
            guest.host.part(reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                for guest in guests:
                    await guest.apart.wait()
        for guest in guests:
            self._spawn(self._dismiss(guest))

    def stay(self) -> None:
        """The machine is back, or did not go after all."""
        self._leaving = ""

    # ------------------------------------------------------------------ links

    async def _connected(self, stream: Stream) -> None:
        try:
            async with asyncio.timeout(GREETING):
                hello = await read_greeting(stream)
            guest = await self._find(hello)
        except (ProtocolError, OSError, TimeoutError) as error:
            log.warning("a link was refused: %s", error or "no greeting")
            stream.close()
            return
        except _RefusedError as refused:
            stream.write([frames.note(Type.REFUSE, {**introduction(), "why": str(refused)})])
            with contextlib.suppress(OSError):
                await stream.drain()
            stream.close()
            return
        guest.left_at = None
        guest.apart.clear()
        reason = await guest.pump.run(stream, hello=hello)
        if not guest.pump.linked:
            log.info("notebook %s is out of reach: %s", guest.notebook, reason)
            guest.left_at = now()
            guest.apart.set()

    async def _find(self, hello: dict[str, Any]) -> _Guest:
        self._check(hello)
        name, notebook = str(hello.get("session")), str(hello.get("notebook"))
        if guest := self._guests.get(name):
            return guest
        if hello.get("resume"):
            raise _RefusedError("unknown session")
        # A notebook has one session: what its R gave up, or one that was killed has left, ends
        # before anything new begins.
        for old in [guest for guest in self._guests.values() if guest.notebook == notebook]:
            await self._dismiss(old)
        # Meanwhile another link of this same session may have been here.
        return self._guests.get(name) or self._welcome(name, hello)

    def _check(self, hello: dict[str, Any]) -> None:
        """Refuse whom this agent cannot serve. Where nobody else needs it, it makes way."""
        if self._leaving:
            raise _RefusedError(self._leaving)
        mine, theirs = introduction()["version"], hello.get("version")
        if theirs == mine:
            return
        self._outdated = True
        if self._guests:
            raise _RefusedError(
                f"the agent is version {mine} and the server {theirs}: "
                f"it changes when its {len(self._guests)} notebooks of version {mine} are closed"
            )
        self.stop()
        raise _RefusedError(f"the agent of version {mine} makes way for {theirs}")

    def _welcome(self, name: str, hello: dict[str, Any]) -> _Guest:
        notes.require(hello, ("session", "notebook", "heartbeat", "keep"))
        notebook = str(hello.get("notebook"))
        if not (_NAME.fullmatch(notebook) and _NAME.fullmatch(name)):
            raise ProtocolError("a session or a notebook has a name that is none")
        spool = SpoolFile(self._places.state / "spool")
        session = Session({**introduction(), "session": name}, float(hello["heartbeat"]), spool)
        pump = Pump(session, lambda event: self._on_event(name, event))
        folder = self._places.run / f"a{name[:8]}"
        folder.mkdir(mode=0o700, exist_ok=True)
        store = Store(self._places.store / notebook)
        # What the first state does not need is of an earlier time, or of a process that was killed.
        store.untidy = True
        host = KernelHost(pump, store, folder, far=True, mirrors=self._places.envs)
        self._guests[name] = _Guest(name, notebook, float(hello["keep"]), host, pump)
        return self._guests[name]

    def _on_event(self, name: str, event: SessionEvent) -> None:
        guest = self._guests.get(name)
        if guest is None:
            return
        if isinstance(event, Received):
            guest.host.handle(event.message)
        elif isinstance(event, Answered):
            guest.host.renew(event.sent)
        elif isinstance(event, Parted):
            log.info("notebook %s says goodbye: %s", guest.notebook, event.fields.get("reason"))
            self._spawn(self._dismiss(guest, forever=True))

    # ------------------------------------------------------------------ ends

    async def _dismiss(self, guest: _Guest, *, forever: bool = False) -> None:
        self._guests.pop(guest.id, None)
        guest.pump.close_link()
        await guest.host.close()
        guest.pump.session.discard()
        shutil.rmtree(guest.host.folder, ignore_errors=True)
        if forever:
            guest.host.store.remove()
            if self._outdated and not self._guests:
                self.stop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bound(self) -> None:
        while True:
            living = frozenset(guest.notebook for guest in self._guests.values())
            await asyncio.to_thread(bound, self._places.store, living)
            await asyncio.sleep(LOOK)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            for guest in list(self._guests.values()):
                if guest.left_at is not None and now() - guest.left_at > guest.keep:
                    log.info("notebook %s did not come back: its kernel is ended", guest.notebook)
                    await self._dismiss(guest)
            if self._guests:
                self._busy_at = now()
            elif self._outdated or now() - self._busy_at > IDLE:
                self.stop()


class _RefusedError(Exception):
    """We will not go on with this session."""


def run_agent(places: Places) -> int:
    """Run the agent until it is not needed any more; return its exit code.

    0 also if another agent of this user runs already: one is enough.
    """
    places.make()
    lock = _lock(places.run / "agent.lock")
    if lock is None:
        return 0
    logging.basicConfig(
        filename=places.agent_log, level=logging.INFO, format="%(asctime)s %(message)s"
    )
    with lock:
        run(_main(places))
    return 0


async def _main(places: Places) -> None:
    server = AgentServer(places)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    departure = Departure(server.part, server.stay)
    departure.start()
    wake = asyncio.ensure_future(watch_sleep(server.stay))
    try:
        await server.serve()
    finally:
        wake.cancel()
        departure.stop()


def _lock(path: Path) -> Any:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
