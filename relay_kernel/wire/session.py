"""What survives links: numbered messages, acknowledged, and replayed on the next link.

The session knows nothing of what carries it. The idea of numbering both ways and replaying what the
peer has not seen is that of Eternal Terminal's BackedReader and BackedWriter.

Invariant: a message leaves ``_outbox`` only when the peer has said that it received it, and is
delivered only if its number is one more than the last delivered. A cut loses none, doubles none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Ack, Data, Decoder, Note, Type
from relay_kernel.wire.message import Message, decode, encode

if TYPE_CHECKING:
    from relay_kernel.wire.message import Part

PROTOCOL = 1
#: Acknowledge at the latest after so many messages, bytes or seconds.
ACK_MESSAGES = 16
ACK_BYTES = 32 << 10
ACK_SECONDS = 0.05
#: Bulk bytes that may be under way unacknowledged: what a small message can have to wait behind.
BULK_CREDIT = 128 << 10
BULK_FRAGMENT = 32 << 10
#: Bulk bytes that are worth holding in memory ahead of the credit.
BULK_AHEAD = 4 << 20
#: Heartbeats without an answer after which a link is dead.
MISSED = 4


@dataclass(frozen=True, slots=True)
class Opened:
    """Both ends have greeted; what was not acknowledged is being replayed."""

    hello: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """The next message of the peer."""

    message: Message


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer will not go on with this session; ``fields["why"]`` says why."""

    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parted:
    """The peer said goodbye; ``fields["reason"]`` says why."""

    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing came for so long that the link is dead. Close it."""


SessionEvent = Opened | Received | Refused | Parted | Silent


@dataclass(slots=True)
class _Sent:
    number: int
    parts: list[Part]
    bulk: int


class Session:
    """One end of a session. Bytes in, events out; bytes out on request.

    Args:
        hello: what this end says of itself each time a link opens: ``session`` names the session.
        heartbeat: seconds between pings, None for none (in memory).
    """

    def __init__(self, hello: dict[str, Any], heartbeat: float | None = None) -> None:
        self.hello = hello
        self.heartbeat = heartbeat
        self.rtt: float | None = None
        """Seconds of the last ping's round trip."""
        self.received = 0
        """The number of the last message that was delivered here."""
        self._number = 0
        self._outbox: deque[_Sent] = deque()
        self._bulk: deque[tuple[Part, bool]] = deque()
        self._bulk_flying = 0
        self._fragments: list[memoryview] = []
        self._out: list[Part] = []
        self._link = False
        self._greeted = False
        self._decoder = Decoder()
        self._unacked_messages = 0
        self._unacked_bytes = 0
        self._ack_at: float | None = None
        self._ping_at: float | None = None
        self._heard_at = 0.0

    # ------------------------------------------------------------------ links

    @property
    def is_open(self) -> bool:
        """Whether both ends have greeted on the present link."""
        return self._greeted

    @property
    def backlog(self) -> int:
        """How many messages and fragments the peer has not acknowledged."""
        return len(self._outbox) + len(self._bulk)

    @property
    def wants_bulk(self) -> bool:
        """Whether so little bulk waits that more should be sent, if there is any."""
        return len(self._bulk) * BULK_FRAGMENT < BULK_AHEAD

    def begin(self, now: float) -> None:
        """A new link is there: greet. A link that was there before is forgotten."""
        self.end()
        self._link = True
        self._heard_at = now
        self._decoder = Decoder()
        # The far end may be slow to start, but not slower than a dead link is noticed.
        self._ping_at = None if self.heartbeat is None else now + self.heartbeat
        fields = {"protocol": PROTOCOL, **self.hello, "received": self.received}
        self._out.append(frames.note(Type.HELLO, fields))

    def end(self) -> None:
        """The link is gone. What was under way is kept for the next."""
        self._link = self._greeted = False
        self._out.clear()
        self._ack_at = self._ping_at = None
        self._unacked_messages = self._unacked_bytes = 0

    def part(self, reason: str) -> None:
        """Say goodbye on the present link, if there is one."""
        if self._link:
            self._out.append(frames.note(Type.GOODBYE, {"reason": reason}))

    # ------------------------------------------------------------------ sending

    def send(self, message: Message, *, bulk: bool = False) -> None:
        """Take on a message. It will arrive once, in order within its class, if any link ever does.

        Bulk messages keep their order among themselves, and never hold up the others for long.
        """
        parts = encode(message)
        if not bulk:
            self._post(frames.data(self._number + 1, self.received, parts), 0)
            return
        body = memoryview(b"".join(parts))
        for at in range(0, len(body), BULK_FRAGMENT):
            end = at + BULK_FRAGMENT
            self._bulk.append((body[at:end], end >= len(body)))
        self._admit()

    def _post(self, parts: list[Part], bulk: int) -> None:
        self._number += 1
        self._outbox.append(_Sent(self._number, parts, bulk))
        if self._greeted:
            self._out += parts
            self._acknowledged_now()

    def _admit(self) -> None:
        """Number bulk fragments as far as the credit goes."""
        while self._bulk and self._bulk_flying < BULK_CREDIT:
            fragment, last = self._bulk.popleft()
            size = memoryview(fragment).nbytes
            self._bulk_flying += size
            self._post(frames.bulk(self._number + 1, self.received, fragment, last=last), size)

    def data_to_send(self) -> list[Part]:
        """What is to be written to the link now, in order; it is handed over once."""
        out, self._out = self._out, []
        return out

    # ------------------------------------------------------------------ receiving

    def receive(self, data: Part, now: float) -> list[SessionEvent]:
        """Take in bytes from the link.

        Raises:
            ProtocolError: no correct peer sends this. Close the link; the session itself is sound.
        """
        self._heard_at = now
        events: list[SessionEvent] = []
        for frame in self._decoder.feed(data):
            if isinstance(frame, Note):
                events.append(self._on_note(frame))
            elif not self._greeted:
                raise ProtocolError("the peer sent data before its greeting")
            elif isinstance(frame, Ack):
                self._on_ack(frame, now)
            else:
                message = self._on_data(frame, now)
                if message is not None:
                    events.append(Received(message))
        return events

    def _on_note(self, frame: Note) -> SessionEvent:
        if frame.type is Type.REFUSE:
            return Refused(frame.fields)
        if frame.type is Type.GOODBYE:
            return Parted(frame.fields)
        return self.greeted(frame.fields)

    def greeted(self, hello: dict[str, Any]) -> Opened:
        """Take in the peer's HELLO, and replay what it has not seen.

        Raises:
            ProtocolError: the peer speaks another protocol, greets twice, or counts otherwise.
        """
        received = hello.get("received")
        if hello.get("protocol") != PROTOCOL:
            raise ProtocolError(f"the peer speaks protocol {hello.get('protocol')}, not {PROTOCOL}")
        if self._greeted or not isinstance(received, int):
            raise ProtocolError("the peer's greeting is not in order")
        self._settle(received)
        if self._outbox and self._outbox[0].number != received + 1:
            raise ProtocolError("the peer has lost messages that it had acknowledged")
        self._greeted = True
        for sent in self._outbox:
            self._out += sent.parts
        self._admit()
        return Opened(hello)

    def _on_data(self, frame: Data, now: float) -> Message | None:
        self._settle(frame.received)
        if frame.number <= self.received:
            return None
        if frame.number != self.received + 1:
            raise ProtocolError(f"message {frame.number} came after {self.received}")
        self.received = frame.number
        self._count_for_ack(frame, now)
        if frame.whole:
            return decode(frame.body)
        self._fragments.append(frame.body)
        if not frame.last:
            return None
        body = b"".join(self._fragments)
        self._fragments.clear()
        return decode(memoryview(body))

    def _on_ack(self, frame: Ack, now: float) -> None:
        self._settle(frame.received)
        if frame.type is Type.PING:
            self._out.append(frames.ping(Type.PONG, self.received, frame.time))
        elif frame.type is Type.PONG:
            self.rtt = max(0.0, now - frame.time)

    def _settle(self, received: int) -> None:
        """The peer has everything up to ``received``."""
        if received > self._number:
            raise ProtocolError(
                f"the peer acknowledges {received}, but only {self._number} were sent"
            )
        while self._outbox and self._outbox[0].number <= received:
            self._bulk_flying -= self._outbox.popleft().bulk
        if self._greeted:
            self._admit()

    # ------------------------------------------------------------------ acknowledging, time

    def _count_for_ack(self, frame: Data, now: float) -> None:
        self._unacked_messages += 1
        self._unacked_bytes += frame.body.nbytes
        if self._unacked_messages >= ACK_MESSAGES or self._unacked_bytes >= ACK_BYTES:
            self._acknowledge()
        elif self._ack_at is None:
            self._ack_at = now + ACK_SECONDS

    def _acknowledge(self) -> None:
        self._out.append(frames.ack(self.received))
        self._acknowledged_now()

    def _acknowledged_now(self) -> None:
        self._unacked_messages = self._unacked_bytes = 0
        self._ack_at = None

    def next_deadline(self) -> float | None:
        """When :meth:`handle_deadline` wants to be called; None: not before bytes come or go."""
        deadlines = [at for at in (self._ack_at, self._ping_at) if at is not None]
        return min(deadlines, default=None)

    def handle_deadline(self, now: float) -> list[SessionEvent]:
        """Time has passed: acknowledge, ping, or find the link dead."""
        if self._ack_at is not None and now >= self._ack_at:
            self._acknowledge()
        if self._ping_at is None or self.heartbeat is None or now < self._ping_at:
            return []
        if now - self._heard_at >= MISSED * self.heartbeat:
            self._ping_at = None
            return [Silent()]
        self._ping_at = now + self.heartbeat
        if self._greeted:
            self._out.append(frames.ping(Type.PING, self.received, now))
        return []
