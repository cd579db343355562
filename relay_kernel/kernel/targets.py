"""R's ends of its sessions with agents: in memory for ``local``, through the hub for a PC."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay_kernel import __version__
from relay_kernel.agent.host import KernelHost
from relay_kernel.agent.identity import introduction
from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.hub.client import open_stream
from relay_kernel.link.clock import now
from relay_kernel.link.dialling import BACK_OFF
from relay_kernel.link.errors import DialError
from relay_kernel.link.handover import handover
from relay_kernel.link.pump import Pump
from relay_kernel.link.stream import SocketStream
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import (
    Forgot,
    Opened,
    Parted,
    Received,
    Refused,
    Session,
    SessionEvent,
    Silent,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay_kernel.agent.launch import Launched
    from relay_kernel.link.carrier import Carrier
    from relay_kernel.settings.paths import Places
    from relay_kernel.store.chunks import Store

log = logging.getLogger(__name__)

#: Seconds until a target that said no is asked again: a person may have mended it.
REFUSED = 30.0
#: Seconds from the dial to the agent's greeting.
ATTEMPT = 30.0
#: Seconds for which the hub shall wait for a target that dials in, once it was known to be away.
HOLD = 20.0
#: Seconds in which a link must show a sign of life after an interrupt.
PATIENCE = 1.5
#: A target keeps a kernel out of reach for this many times ``lost_after``, then ends it.
KEEP = 2.0


@dataclass
class Callbacks:
    """Where a link brings what comes."""

    event: Callable[[ev.Event], None]
    report: Callable[[str, Message], None]


@dataclass
class TargetLink:
    """The link to one target, as the rest of R sees it."""

    name: str
    callbacks: Callbacks
    carrier: Carrier = field(init=False)
    bulk_source: Callable[[], Message | None] = field(init=False, default=lambda: None)
    greeting: dict[str, Any] = field(init=False, default_factory=dict)
    """What the agent last said of itself: host, boot_id, version."""

    def send(self, message: Message) -> None:
        """Send an order. It waits for the link, if that is down."""
        self.carrier.send(message)

    def interrupt(self) -> None:
        """Interrupt the kernel. A link that is dead shall be known to be dead within 2 s."""
        self.send(Message("interrupt"))

    def flush(self) -> None:
        """The bulk source has something new."""
        self.carrier.flush()

    @property
    def rtt_ms(self) -> float | None:
        """Milliseconds of the last round trip, if the link is up."""
        rtt = self.carrier.rtt
        return None if rtt is None else round(rtt * 1000, 2)

    async def run(self) -> None:
        """Keep the link up, until cancelled."""
        raise NotImplementedError

    def hurry(self) -> None:
        """What kept the link from standing may be mended: try now."""

    def discard(self) -> None:
        """Give up the present session: the agent shall end what it holds for us."""

    async def close(self, reason: str) -> None:
        """Say goodbye."""
        raise NotImplementedError


class LocalTarget(TargetLink):
    """``local``: its agent is an object in this process."""

    def __init__(
        self,
        callbacks: Callbacks,
        store: Store,
        folder: Path,
        ahead: Launched | None = None,
    ) -> None:
        super().__init__(LOCAL, callbacks)
        self.carrier, far = handover(
            lambda message: callbacks.report(LOCAL, message),
            lambda message: self._host.handle(message),
        )
        self.carrier.bulk_source = lambda: self.bulk_source()
        self._host = KernelHost(far, store, folder, ahead=ahead)
        self.greeting = dict(introduction())

    async def run(self) -> None:
        """See :class:`TargetLink`."""
        self.callbacks.event(ev.TargetOpened(LOCAL))
        await asyncio.Event().wait()

    async def close(self, reason: str) -> None:
        """See :class:`TargetLink`."""
        await self._host.close()
        shutil.rmtree(self._host.folder, ignore_errors=True)


class RemoteTarget(TargetLink):
    """A PC. Dials through the hub, again and again; tells a cut link from a lost agent."""

    def __init__(
        self,
        name: str,
        callbacks: Callbacks,
        places: Places,
        *,
        notebook: str,
        heartbeat: float,
        lost_after: float,
    ) -> None:
        super().__init__(name, callbacks)
        self._places = places
        self._hello = {
            "version": __version__,
            "notebook": notebook,
            "heartbeat": heartbeat,
            "keep": lost_after * KEEP,
        }
        self._heartbeat = heartbeat
        self._opened = False
        self._reason = ""
        self._hurry = asyncio.Event()
        self._renew()

    def _renew(self) -> None:
        """Begin a new session; the agent ends what it held for the old one when it meets it."""
        self._opened = False
        hello = {**self._hello, "session": secrets.token_hex(8), "resume": False}

        def on_event(event: SessionEvent) -> None:
            # What a session that was given up still brings is stale.
            if self.pump is pump:
                self._on_session(event)

        self.carrier = self.pump = pump = Pump(Session(hello, self._heartbeat), on_event)
        pump.bulk_source = lambda: self.bulk_source()

    async def run(self) -> None:
        """See :class:`TargetLink`."""
        tries = 0
        while True:
            pause = BACK_OFF[min(tries, len(BACK_OFF) - 1)]
            self._reason = ""
            try:
                async with asyncio.timeout(ATTEMPT):
                    hold = HOLD if tries else 0.0
                    reader, writer = await open_stream(self._places, self.name, patience=hold)
            except DialError as error:
                self._refused(error)
                pause = REFUSED if error.permanent else 0.0 if error.waited else pause
            except (TimeoutError, OSError) as error:
                why = str(error) or f"no answer within {ATTEMPT:.0f} s"
                self.callbacks.event(ev.LinkClosed(self.name, f"the hub: {why}"))
            else:
                began = now()
                reason = await self.pump.run(SocketStream(reader, writer))
                self.callbacks.event(ev.LinkClosed(self.name, self._reason or reason))
                # A link that held for a while was sound: the next one is tried at once.
                tries = 0 if now() - began > BACK_OFF[-1] else tries
                pause = BACK_OFF[min(tries, len(BACK_OFF) - 1)]
            tries += 1
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), pause)

    def _refused(self, error: DialError) -> None:
        if error.permanent:
            self.callbacks.event(ev.TargetRefused(self.name, error.reason))
        else:
            self.callbacks.event(ev.LinkClosed(self.name, error.reason))

    def _on_session(self, event: SessionEvent) -> None:
        if isinstance(event, Received):
            self.callbacks.report(self.name, event.message)
        elif isinstance(event, Opened):
            self._on_opened(event.hello)
        elif isinstance(event, Refused):
            self._on_refusal(event.fields)
        elif isinstance(event, Parted):
            reason = f"it said goodbye: {event.fields.get('reason')}"
            self._lost(reason)
        elif isinstance(event, Silent):
            self._reason = "it went silent"
        elif isinstance(event, Forgot):
            self._lost("its agent has lost its memory of this notebook")

    def _on_opened(self, hello: dict[str, Any]) -> None:
        self.greeting = hello
        resumed, self._opened = self._opened, True
        self.pump.session.hello["resume"] = True
        if resumed:
            self.callbacks.event(ev.TargetResumed(self.name))
        else:
            self.callbacks.event(ev.TargetOpened(self.name))

    def _on_refusal(self, fields: dict[str, Any]) -> None:
        if not self.pump.session.hello["resume"]:
            reason = str(fields.get("why"))
            self.callbacks.event(ev.TargetRefused(self.name, reason))
            self._reason = reason
        elif fields.get("boot_id") != self.greeting.get("boot_id"):
            self._lost("its machine was restarted")
        else:
            self._lost("its agent was restarted")

    def _lost(self, reason: str) -> None:
        self._reason = reason
        self.callbacks.event(ev.TargetLost(self.name, reason))

    def hurry(self) -> None:
        """See :class:`TargetLink`."""
        self._hurry.set()

    def interrupt(self) -> None:
        """See :class:`TargetLink`."""
        super().interrupt()
        self.pump.probe(PATIENCE)

    def discard(self) -> None:
        """See :class:`TargetLink`."""
        old = self.pump
        self._renew()
        old.close_link()

    async def close(self, reason: str) -> None:
        """See :class:`TargetLink`."""
        self.pump.part(reason)
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self.pump.drain(), 1.0)
        self.pump.close_link()
