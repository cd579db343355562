"""Drives a session over one link after another."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from relay_kernel.link.clock import now
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.session import Forgot, Refused, Session, SessionEvent, Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.link.stream import Stream
    from relay_kernel.wire.message import Message

log = logging.getLogger(__name__)

#: Seconds behind its time from which a wake-up is late: this process stood still, or the machine.
LATE = 0.5
#: Seconds for which what came in the meantime is then read first.
_CATCH_UP = 0.1
#: Why a link ended that is not usable any more.
FORGOT = "one end lost its memory of this session"


class Pump:
    """The clock and the writer of one :class:`Session`.

    ``on_event`` is called on the loop for each event of the session, in order, and must not raise.
    """

    def __init__(self, session: Session, on_event: Callable[[SessionEvent], None]) -> None:
        self.session = session
        self._on_event = on_event
        #: Asked for the next bulk message whenever the session has room for one; None: no more now.
        self.bulk_source: Callable[[], Message | None] | None = None
        self._stream: Stream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = 0.0
        self._draining: asyncio.Task[None] | None = None
        self._handing_on = False
        self._why = ""

    @property
    def linked(self) -> bool:
        """Whether a link is up and both ends have greeted."""
        return self._stream is not None and self.session.is_open

    @property
    def rtt(self) -> float | None:
        """Seconds of the last round trip, if the link is up."""
        return self.session.rtt if self.linked else None

    @property
    def answered_at(self) -> float | None:
        """When the newest ping that was answered was sent; None before any was."""
        return self.session.answered_at

    def send(self, message: Message, *, bulk: bool = False) -> None:
        """Send a message, now or when a link is there again."""
        self.session.send(message, bulk=bulk)
        self.flush()

    async def run(self, stream: Stream, *, hello: dict[str, object] | None = None) -> str:
        """Speak over ``stream`` until it ends; return why it did.

        Args:
            stream: a fresh link. A link that was still in use is closed: the newest one counts.
            hello: the peer's greeting, where the caller had to read it to find the session.
        """
        self.close_link()
        self._stream = stream
        self._why = ""
        self.session.begin(now())
        try:
            if hello is not None:
                self._hand_on([self.session.greeted(hello)])
            self.flush()
            await self._read(stream)
            return self._why if self._stream is stream else "another link took its place"
        except ProtocolError as error:
            log.warning("link closed: %s", error)
            return str(error)
        except OSError as error:
            return str(error) or type(error).__name__
        finally:
            if self._stream is stream:
                self.close_link()
            stream.close()

    async def run_until(
        self, stream: Stream, over: asyncio.Event, *, hello: dict[str, object] | None = None
    ) -> str:
        """Like :meth:`run`, but also end when ``over`` is set."""
        run = asyncio.ensure_future(self.run(stream, hello=hello))
        wait = asyncio.ensure_future(over.wait())
        try:
            await asyncio.wait({run, wait}, return_when=asyncio.FIRST_COMPLETED)
            return run.result() if run.done() else "it was ended here"
        finally:
            for task in (run, wait):
                task.cancel()
            await asyncio.gather(run, wait, return_exceptions=True)

    async def _read(self, stream: Stream) -> None:
        while not self._why and (data := await stream.read()):
            if self._stream is not stream:
                return
            # Once more without data: an error is raised after what came before it.
            while events := self.session.receive(data, now()):
                self._hand_on(events)
                data = b""
            self.flush()
        if self._stream is stream:
            self._why = self._why or "the link was cut"

    def _hand_on(self, events: list[SessionEvent]) -> None:
        """Give events to the owner. Meanwhile nothing is written.

        So no acknowledgement of what is still to be handed on can get out, and answers to many
        messages go out at once.
        """
        self._handing_on = True
        try:
            for event in events:
                self._on_event(event)
                if isinstance(event, Refused):
                    self._why = str(event.fields.get("why", "refused"))
                elif isinstance(event, Forgot):
                    self._why = FORGOT
                elif isinstance(event, Silent):
                    self._why = "nothing was heard for too long"
        finally:
            self._handing_on = False

    def close_link(self) -> None:
        """Drop the present link, if any; the session stays."""
        stream, self._stream = self._stream, None
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._draining:
            self._draining.cancel()
            self._draining = None
        if stream:
            self.session.end()
            stream.close()

    def part(self, reason: str) -> None:
        """Say goodbye to the peer, if a link is up."""
        self.session.part(reason)
        self.flush()

    def probe(self, patience: float) -> None:
        """Find out whether the peer is there; see :meth:`Session.probe`."""
        self.session.probe(now(), patience)
        self.flush()

    async def drain(self) -> None:
        """Wait until what was written has been handed to the link."""
        if self._stream:
            await self._stream.drain()

    # ------------------------------------------------------------------ writing, time

    def flush(self) -> None:
        """Take up what the bulk source has, and write what can be written now."""
        stream = self._stream
        if stream is None or self._handing_on:
            return
        if not self._draining:
            self._write(stream)
        # Also while the link is clogged: one that takes nothing may be dead.
        self._arm()

    def _write(self, stream: Stream) -> None:
        self._take_bulk()
        try:
            if parts := self.session.data_to_send():
                stream.write(parts)
        except OSError as error:
            # The reader of this stream will see its end, and say so once.
            self._why = self._why or f"the link was cut: {error}"
            stream.close()
            return
        if stream.clogged:
            self._draining = asyncio.ensure_future(self._drain(stream))

    def _take_bulk(self) -> None:
        while self.bulk_source and self.session.wants_bulk:
            message = self.bulk_source()
            if message is None:
                return
            self.session.send(message, bulk=True)

    async def _drain(self, stream: Stream) -> None:
        try:
            await stream.drain()
        except OSError:
            return
        self._draining = None
        self.flush()

    def _arm(self) -> None:
        deadline = self.session.next_deadline()
        if deadline is None:
            return
        if self._timer and self._wake_at <= deadline:
            # It fires early and arms itself again: cheaper than a timer for each message.
            return
        self._wake(deadline, deadline - now())

    # A wake-up at minus infinity is one after which nothing is late.
    def _wake(self, at: float, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._wake_at = at
        # The loop's clock stands still where ours goes on, so a moment of ours means nothing to it.
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._tick)

    def _tick(self) -> None:
        self._timer = None
        stream = self._stream
        if stream is None:
            return
        time = now()
        if -math.inf < self._wake_at < time - LATE:
            # What the peer said in the meantime is not read yet: it is no silence.
            self._wake(-math.inf, _CATCH_UP)
            return
        if events := self.session.handle_deadline(time):
            self._hand_on(events)
            stream.close()
            return
        self.flush()
