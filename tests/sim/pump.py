"""What ``relay_kernel.link.pump`` does around a session, with callbacks in place of tasks.

It also numbers the messages, so that a lost or doubled one is seen where it happens.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.session import Forgot, Received, Refused, Session, SessionEvent, Silent
from tests.sim.oracle import Broken, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from relay_kernel.wire.message import Message
    from tests.sim.clock import Process, Timer
    from tests.sim.network import End

#: As in ``pump.py``.
LATE = 0.5
CATCH_UP = 0.1


def _nobody(reason: str) -> None:
    """Nobody runs a link now."""


class Pump:
    """The clock and the writer of one session, within one process."""

    def __init__(
        self, process: Process, session: Session, on_event: Callable[[SessionEvent], None]
    ) -> None:
        self.process = process
        self.session = session
        self.bulk_source: Callable[[], Message | None] = lambda: None
        self.sent = {False: 0, True: 0}
        self.heard = {False: 0, True: 0}
        self._on_event = on_event
        self._end: End | None = None
        self._on_over: Callable[[str], None] = _nobody
        self._timer: Timer | None = None
        self._wake_at = 0.0
        self._draining = False
        self._handing_on = False

    @property
    def linked(self) -> bool:
        return self._end is not None and self.session.is_open

    def send(self, message: Message, *, bulk: bool = False) -> None:
        self._post(message, bulk=bulk)
        self.flush()

    def _post(self, message: Message, *, bulk: bool) -> None:
        self.sent[bulk] += 1
        self.process.clock.messages += 1
        message = replace(message, head={**message.head, "#": self.sent[bulk], "bulk": bulk})
        self.session.send(message, bulk=bulk)

    def run(
        self, end: End, on_over: Callable[[str], None], *, hello: dict[str, Any] | None = None
    ) -> None:
        """Speak over ``end``; ``on_over`` is called once when that is over."""
        self.close_link()
        self._end, self._on_over = end, on_over
        end.incoming.on_data = lambda data: self._on_data(end, data)
        end.incoming.on_end = lambda: self._over(end, "the link was cut")
        end.outgoing.on_room = lambda: self.process.take(lambda: self._drained(end))
        self.session.begin(self.process.clock.now)
        if hello is not None:
            self._hand_on(end, [self.session.greeted(hello)])
        self.flush()

    def _tell(self, event: SessionEvent) -> None:
        if isinstance(event, Received):
            head = event.message.head
            bulk = head["bulk"]
            self.heard[bulk] += 1
            if head["#"] != self.heard[bulk]:
                text = f"message {head['#']} came where {self.heard[bulk]} was due"
                raise Broken(Rule.MESSAGES, f"{self.process.name}: {text}")
        self._on_event(event)

    def _on_data(self, end: End, data: bytes) -> None:
        if self._end is not end:
            return
        try:
            while events := self.session.receive(data, self.process.clock.now):
                self._hand_on(end, events)
                data = b""
        except ProtocolError as error:
            # Both ends are ours: nothing in a session may surprise the other.
            raise Broken(Rule.MESSAGES, f"{self.process.name}: {error}") from error
        self.flush()

    def _hand_on(self, end: End, events: Sequence[SessionEvent]) -> None:
        self._handing_on, why = True, ""
        for event in events:
            self._tell(event)
            if isinstance(event, Refused):
                why = str(event.fields.get("why"))
            elif isinstance(event, Forgot):
                why = "one end lost its memory of this session"
            elif isinstance(event, Silent):
                why = "nothing was heard for too long"
        self._handing_on = False
        if why:
            self._over(end, why)

    def _over(self, end: End, reason: str) -> None:
        """The link ended, or the session found it dead."""
        if self._end is end:
            on_over, self._on_over = self._on_over, _nobody
            self.close_link()
            on_over(reason)

    def close_link(self) -> None:
        """Drop the link; whoever runs it hears of it a moment later."""
        end, self._end = self._end, None
        on_over, self._on_over = self._on_over, _nobody
        self.process.later(0.0, lambda: on_over("the link was cut"))
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._draining = False
        if end:
            self.session.end()
            end.close()

    def part(self, reason: str) -> None:
        self.session.part(reason)
        self.flush()

    def probe(self, patience: float) -> None:
        """Find out within ``patience`` seconds whether the link is dead."""
        self.session.probe(self.process.clock.now, patience)
        self.flush()

    # ------------------------------------------------------------------ writing, time

    def flush(self) -> None:
        end = self._end
        if end is None or self._handing_on:
            return
        if not self._draining:
            while self.session.wants_bulk and (message := self.bulk_source()):
                self._post(message, bulk=True)
            if parts := self.session.data_to_send():
                end.write(parts)
                self._draining = end.clogged
        self._arm()

    def _drained(self, end: End) -> None:
        if self._end is end and self._draining:
            self._draining = False
            self.flush()

    def _arm(self) -> None:
        deadline = self.session.next_deadline()
        if deadline is None or (self._timer and self._wake_at <= deadline):
            return
        self._wake(deadline, deadline - self.process.clock.now)

    def _wake(self, at: float, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._wake_at = at
        self._timer = self.process.later(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        end, now = self._end, self.process.clock.now
        if end is None:
            return
        if -math.inf < self._wake_at < now - LATE:
            self._wake(-math.inf, CATCH_UP)
        elif events := self.session.handle_deadline(now):
            self._hand_on(end, events)
        else:
            self.flush()
