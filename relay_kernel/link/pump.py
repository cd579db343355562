"""Drives a session over one link after another."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.session import Refused, Session, SessionEvent, Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.link.stream import Stream
    from relay_kernel.wire.message import Message

log = logging.getLogger(__name__)


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
        self._draining: asyncio.Task[None] | None = None

    @property
    def linked(self) -> bool:
        """Whether a link is up and both ends have greeted."""
        return self._stream is not None and self.session.is_open

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
        self.session.begin(time.monotonic())
        try:
            if hello is not None:
                self._on_event(self.session.greeted(hello))
            self.flush()
            return await self._read(stream)
        except ProtocolError as error:
            log.warning("link closed: %s", error)
            return str(error)
        except OSError as error:
            return str(error) or type(error).__name__
        finally:
            if self._stream is stream:
                self.close_link()
            stream.close()

    async def _read(self, stream: Stream) -> str:
        while data := await stream.read():
            if self._stream is not stream:
                return "another link took its place"
            for event in self.session.receive(data, time.monotonic()):
                self._on_event(event)
                if isinstance(event, Refused):
                    return str(event.fields.get("why", "refused"))
            self.flush()
        return "the link was cut"

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

    async def drain(self) -> None:
        """Wait until what was written has been handed to the link."""
        if self._stream:
            await self._stream.drain()

    # ------------------------------------------------------------------ writing, time

    def flush(self) -> None:
        """Take up what the bulk source has, and write what can be written now."""
        stream = self._stream
        if stream is None or self._draining:
            return
        self._take_bulk()
        parts = self.session.data_to_send()
        if parts:
            try:
                stream.write(parts)
            except OSError:
                # The reader of this stream will see its end, and say so once.
                return
            if stream.clogged:
                self._draining = asyncio.ensure_future(self._drain(stream))
        self._arm()

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
        loop = asyncio.get_running_loop()
        if self._timer and self._timer.when() <= deadline:
            # It fires early and arms itself again: cheaper than a timer for each message.
            return
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        stream = self._stream
        if stream is None:
            return
        for event in self.session.handle_deadline(time.monotonic()):
            if isinstance(event, Silent):
                self._on_event(event)
                stream.close()
                return
        self.flush()
