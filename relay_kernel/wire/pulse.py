"""Whether the peer is alive, and how far away it is: pings, their answers, and silence."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Ack, Type

if TYPE_CHECKING:
    from relay_kernel.wire.message import Part

#: Heartbeats without an answer after which a link is dead.
MISSED = 4


class Pulse:
    """The pings of one end of a session.

    Only the newest ping is answered, and only the newest is sent: where the writer is slow, they
    must not pile up.

    Args:
        heartbeat: seconds between pings, None for none.
    """

    def __init__(self, heartbeat: float | None) -> None:
        self.heartbeat = heartbeat
        self.rtt: float | None = None
        """Seconds of the last ping's round trip."""
        self.heard_at = 0.0
        """When the last bytes came, or the link began."""
        self.answered_at: float | None = None
        """When the newest ping that was answered was sent."""
        self._ping: float | None = None
        self._pong: float | None = None
        self._open: deque[float] = deque()
        self._beat_at: float | None = None
        self._silent_at: float | None = None

    def begin(self, now: float) -> None:
        """A new link is there; nothing was heard over it yet."""
        self.end()
        self.heard_at = now
        if self.heartbeat is not None:
            self._beat_at = now + self.heartbeat

    def end(self) -> None:
        """The link is gone, and pings and answers with it."""
        self._ping = self._pong = None
        self._open.clear()
        self._beat_at = self._silent_at = None

    def heard(self, now: float) -> None:
        """Bytes came, whatever they say."""
        self.heard_at = now
        self._silent_at = None

    # ------------------------------------------------------------------ pings

    @property
    def is_waiting(self) -> bool:
        """Whether a ping waits to be sent or answered."""
        return self._ping is not None or bool(self._open)

    def ping(self, now: float) -> None:
        """Send a ping with the next bytes."""
        self._ping = now

    def probe(self, now: float, patience: float) -> None:
        """Ping; without any sign of life within ``patience`` seconds the link is dead."""
        self._ping = now
        until = now + patience
        self._silent_at = until if self._silent_at is None else min(self._silent_at, until)

    def take(self, frame: Ack, now: float) -> float | None:
        """Take in a PING or PONG; returns when the ping was sent that a PONG answers.

        Raises:
            ProtocolError: the PONG answers nothing that was asked on this link.
        """
        if frame.type is Type.PING:
            self._pong = frame.time
            return None
        # The answers to older ones were left out.
        while self._open and self._open[0] != frame.time:
            self._open.popleft()
        if not self._open:
            raise ProtocolError("the peer answers a ping that was not sent")
        self.answered_at = self._open.popleft()
        self.rtt = max(0.0, now - self.answered_at)
        return self.answered_at

    def write(self, received: int) -> list[Part]:
        """What is to be sent now."""
        out: list[Part] = []
        if self._pong is not None:
            out.append(frames.ping(Type.PONG, received, self._pong))
            self._pong = None
        if self._ping is not None:
            out.append(frames.ping(Type.PING, received, self._ping))
            self._open.append(self._ping)
            self._ping = None
        return out

    # ------------------------------------------------------------------ time

    @property
    def _dead_at(self) -> float | None:
        """When the link is dead unless something is heard before."""
        if self._beat_at is None or self.heartbeat is None:
            return self._silent_at
        at = self.heard_at + MISSED * self.heartbeat
        return at if self._silent_at is None else min(at, self._silent_at)

    def next_deadline(self) -> float | None:
        """When :meth:`handle_deadline` wants to be called."""
        dead_at = self._dead_at
        if self._beat_at is None or dead_at is None:
            return dead_at
        return min(self._beat_at, dead_at)

    def handle_deadline(self, now: float) -> bool:
        """Time has passed: ping, or say (once) that the link is dead."""
        dead_at = self._dead_at
        if dead_at is not None and now >= dead_at:
            self._beat_at = self._silent_at = None
            return True
        if self._beat_at is not None and self.heartbeat is not None and now >= self._beat_at:
            self._beat_at = now + self.heartbeat
            self._ping = now
        return False
