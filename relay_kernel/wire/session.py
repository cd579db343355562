"""What survives links: numbered messages, acknowledged, and replayed on the next link.

The session knows nothing of what carries it. The idea of numbering both ways and replaying what the
peer has not seen is that of Eternal Terminal's BackedReader and BackedWriter.

Invariant: a piece of a message is in just one place until the peer has said that it received it:
in the queue of its class, in ``_flying`` (on the present link) or in ``_again`` (cut off with an
earlier one); and it is delivered only if its number is one more than the last delivered. A cut
loses none, doubles none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Data, Decoder, Note, Type
from relay_kernel.wire.message import Message, decode, encode
from relay_kernel.wire.outbox import Fragments, Piece, Queue, Spool, cut
from relay_kernel.wire.pulse import Pulse
from relay_kernel.wire.states import KINDS, WHOLE, Incoming, Outgoing
from relay_kernel.wire.window import RoundTrips, Window

if TYPE_CHECKING:
    from relay_kernel.wire.message import Part

PROTOCOL = 5
#: Acknowledge at the latest after so many messages, bytes (each full piece) or seconds.
ACK_MESSAGES = 16
ACK_BYTES = 16 << 10
ACK_SECONDS = 0.05
#: Bulk bytes that are worth holding in memory ahead of the window.
BULK_AHEAD = 4 << 20


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


@dataclass(frozen=True, slots=True)
class Forgot:
    """One end lost its memory of this session: what it counts is not what the other counts.

    Going on would lose messages or repeat them. The session is spent; nothing of it is replayed.
    """

    hello: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """A ping was answered; ``sent`` is when it was sent, by our own clock.

    What the peer grants with its answer counts from then: it cannot have known it earlier.
    """

    sent: float


SessionEvent = Opened | Received | Refused | Parted | Silent | Forgot | Answered


class _Sent(NamedTuple):
    number: int
    piece: Piece


class Session:
    """One end of a session. Bytes in, events out; bytes out on request.

    Times are seconds of one clock, which may jump ahead (a machine that slept).

    Args:
        hello: what this end says of itself each time a link opens: ``session`` names the session.
        heartbeat: seconds between pings, None for none (in memory).
        spool: where what waits goes beyond a bound; None: all waits in memory.
    """

    def __init__(
        self, hello: dict[str, Any], heartbeat: float | None = None, spool: Spool | None = None
    ) -> None:
        self.hello = hello
        self.received = 0
        """The number of the last message that was delivered here."""
        self._number = 0
        self._acknowledged = 0
        self._ordinary = Queue(spool)
        self._bulk = Queue()
        self._flying: deque[_Sent] = deque()
        self._again: deque[_Sent] = deque()
        self._fragments = {Type.PART: Fragments(), Type.BULK: Fragments()}
        self._states, self._their_states = Outgoing(), Incoming()
        self._pulse = Pulse(heartbeat)
        self._reset()

    def _reset(self) -> None:
        """Forget everything that is about one link."""
        self._link = self._greeted = False
        self._trips = RoundTrips()
        self._decoder = Decoder()
        self._broken: ProtocolError | None = None
        self._hello = self._farewell = b""
        self._ack = False
        self._ack_at: float | None = None
        self._unacked_messages = self._unacked_bytes = 0

    @property
    def heartbeat(self) -> float | None:
        """Seconds between pings."""
        return self._pulse.heartbeat

    @property
    def rtt(self) -> float | None:
        """Seconds of the last ping's round trip."""
        return self._pulse.rtt

    @property
    def heard_at(self) -> float:
        """When the last bytes came, or the link began."""
        return self._pulse.heard_at

    @property
    def answered_at(self) -> float | None:
        """When the newest ping that was answered was sent; None before any was."""
        return self._pulse.answered_at

    # ------------------------------------------------------------------ links

    @property
    def is_open(self) -> bool:
        """Whether both ends have greeted on the present link."""
        return self._greeted

    @property
    def backlog(self) -> int:
        """How many messages and fragments the peer has not acknowledged."""
        return len(self._flying) + len(self._again) + self._ordinary.count + self._bulk.count

    @property
    def wants_bulk(self) -> bool:
        """Whether so little bulk waits that more should be sent, if there is any."""
        return self._bulk.size < BULK_AHEAD

    def begin(self, now: float) -> None:
        """A new link is there: greet. A link that was there before is forgotten."""
        self.end()
        self._link = True
        self._pulse.begin(now)
        fields = {"protocol": PROTOCOL, **self.hello, "received": self.received}
        self._hello = frames.note(Type.HELLO, fields)

    def end(self) -> None:
        """The link is gone. What was under way is kept for the next."""
        self._again.extendleft(reversed(self._flying))
        self._flying.clear()
        self._pulse.end()
        self._reset()

    def part(self, reason: str) -> None:
        """Say goodbye on the present link, if there is one, after what it can take now."""
        if self._link:
            self._farewell = frames.note(Type.GOODBYE, {"reason": reason})

    def discard(self) -> None:
        """Give up what waits, here and in the spool: nobody will ask for it."""
        for waiting in (self._flying, self._again, self._ordinary, self._bulk):
            waiting.clear()

    def probe(self, now: float, patience: float) -> None:
        """Ping at once; without any sign of life within ``patience`` seconds the link is dead."""
        if self._link:
            self._pulse.probe(now, patience)

    # ------------------------------------------------------------------ sending

    def send(self, message: Message, *, bulk: bool = False) -> None:
        """Take on a message. It will arrive once, in order within its class, if any link ever does.

        Bulk messages keep their order among themselves, and never hold up the others for long.

        Raises:
            ProtocolError: it is larger than any peer would take.
        """
        if message.kind in KINDS and not bulk:
            message = self._states.pack(message)
        self._put(message, bulk=bulk)

    def _put(self, message: Message, *, bulk: bool = False) -> None:
        queue = self._bulk if bulk else self._ordinary
        window = self._trips.bulk if bulk else self._trips.ordinary
        for piece in cut(b"".join(encode(message)), window.piece, bulk=bulk):
            queue.put(piece)

    def data_to_send(self) -> list[Part]:
        """What is to be written to the link now, in order; it is handed over once.

        Raises:
            OSError: what waits cannot be read back from the spool. Close the link.
        """
        out: list[Part] = [self._hello] if self._hello else []
        self._hello = b""
        if self._greeted:
            out += self._pulse.write(self.received)
            self._write_numbered(out)
            if out:
                # Everything that was written says what was received.
                self._acknowledged_now()
            elif self._ack:
                out.append(frames.ack(self.received))
                self._acknowledged_now()
        if self._farewell:
            out.append(self._farewell)
            self._farewell = b""
        return out

    def _write_numbered(self, out: list[Part]) -> None:
        """As far as the windows allow: what a cut took first, then ordinary, then bulk."""
        while self._again:
            if not self._fits(self._again[0].piece):
                return
            self._fly(self._again.popleft(), out)
        for queue in (self._ordinary, self._bulk):
            while queue.count and self._fits(queue.peek()):
                self._number += 1
                self._fly(_Sent(self._number, queue.pop()), out)

    def _window(self, piece: Piece) -> Window:
        return self._trips.bulk if piece.type is Type.BULK else self._trips.ordinary

    def _fits(self, piece: Piece) -> bool:
        return self._window(piece).admits(len(piece.body), self._trips.limit)

    def _fly(self, sent: _Sent, out: list[Part]) -> None:
        self._window(sent.piece).flying += len(sent.piece.body)
        self._flying.append(sent)
        out += sent.piece.frame(sent.number, self.received)

    # ------------------------------------------------------------------ receiving

    def receive(self, data: Part, now: float) -> list[SessionEvent]:
        """Take in bytes from the link.

        Raises:
            ProtocolError: no correct peer sends this. Close the link; the session itself is sound.
                What came before it is returned first; the error is then raised by the next call,
                to which nothing needs to be given.
        """
        if self._broken:
            raise self._broken
        if data:
            self._pulse.heard(now)
        events: list[SessionEvent] = []
        try:
            for frame in self._decoder.feed(data):
                if event := self._take(frame, now):
                    events.append(event)
            if self._decoder.error:
                raise self._decoder.error
        except ProtocolError as error:
            self._broken = error
            if not events:
                raise
        if self.heartbeat is not None and self._trips.held_back and not self._pulse.is_waiting:
            self._pulse.ping(now)
        return events

    def _take(self, frame: frames.Frame, now: float) -> SessionEvent | None:
        if isinstance(frame, Note):
            return self._on_note(frame)
        if not self._greeted:
            raise ProtocolError(f"the peer sent a {frame.type.name} before its greeting")
        self._settle(frame.received)
        if isinstance(frame, Data):
            return self._on_data(frame, now)
        if frame.type is Type.ACK:
            return None
        sent = self._pulse.take(frame, now)
        if sent is None:
            return None
        self._trips.measured(now - sent, now)
        return Answered(sent)

    def _on_note(self, frame: Note) -> SessionEvent:
        if frame.type is Type.REFUSE:
            return Refused(frame.fields)
        if frame.type is Type.GOODBYE:
            return Parted(frame.fields)
        return self.greeted(frame.fields)

    def greeted(self, hello: dict[str, Any]) -> Opened | Forgot:
        """Take in the peer's HELLO, and go on from where it is.

        Raises:
            ProtocolError: the peer speaks another protocol, greets twice, or does not count.
        """
        received = hello.get("received")
        if hello.get("protocol") != PROTOCOL:
            raise ProtocolError(f"the peer speaks protocol {hello.get('protocol')}, not {PROTOCOL}")
        if self._greeted:
            raise ProtocolError("the peer sent a second greeting")
        if type(received) is not int:
            raise ProtocolError("the peer's greeting does not say what it received")
        if not self._acknowledged <= received <= self._number:
            self.discard()
            return Forgot(hello)
        self._greeted = True
        self._settle(received)
        if self.heartbeat is not None:
            # Its HELLO has just been heard.
            self._pulse.ping(self.heard_at)
        return Opened(hello)

    def _on_data(self, frame: Data, now: float) -> Received | None:
        if frame.number != self.received + 1:
            how = "again" if frame.number <= self.received else f"after {self.received}"
            raise ProtocolError(f"message {frame.number} came {how}")
        # One that cannot be read counts as well, or it would come again with each link.
        self.received = frame.number
        self._count_for_ack(frame, now)
        if not frame.whole:
            body = self._fragments[frame.type].join(frame.body, last=frame.last)
            return None if body is None else self._deliver(decode(body))
        if self._fragments[Type.PART].parts:
            raise ProtocolError("a message came before the end of the one before it")
        return self._deliver(decode(frame.body))

    def _deliver(self, message: Message) -> Received | None:
        if message.kind == WHOLE:
            if again := self._states.again():
                self._put(again)
            return None
        if message.kind in KINDS:
            whole = self._their_states.unpack(message)
            if whole is None:
                self._put(Message(WHOLE))
                return None
            message = whole
        return Received(message)

    def _settle(self, received: int) -> None:
        """The peer has everything up to ``received``."""
        if received > self._number:
            raise ProtocolError(
                f"the peer acknowledges {received}, but only {self._number} were sent"
            )
        self._acknowledged = max(self._acknowledged, received)
        while self._flying and self._flying[0].number <= received:
            piece = self._flying.popleft().piece
            self._window(piece).flying -= len(piece.body)
        while self._again and self._again[0].number <= received:
            self._again.popleft()

    # ------------------------------------------------------------------ acknowledging, time

    def _count_for_ack(self, frame: Data, now: float) -> None:
        self._unacked_messages += 1
        self._unacked_bytes += frame.body.nbytes
        if self._unacked_messages >= ACK_MESSAGES or self._unacked_bytes >= ACK_BYTES:
            self._ack = True
        elif self._ack_at is None:
            self._ack_at = now + ACK_SECONDS

    def _acknowledged_now(self) -> None:
        self._unacked_messages = self._unacked_bytes = 0
        self._ack = False
        self._ack_at = None

    def next_deadline(self) -> float | None:
        """When :meth:`handle_deadline` wants to be called; None: not before bytes come or go."""
        deadlines = (self._ack_at, self._pulse.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def handle_deadline(self, now: float) -> list[SessionEvent]:
        """Time has passed: acknowledge, ping, or find the link dead."""
        if self._ack_at is not None and now >= self._ack_at:
            self._ack, self._ack_at = True, None
        return [Silent()] if self._pulse.handle_deadline(now) else []
