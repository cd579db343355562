"""How many bytes may be under way unacknowledged, found from the round trips of pings.

Whatever is under way stands before a small message: in our own sockets, in the hub, in SSH's
window, in the queue of the line. Too little leaves the line idle. Each class has a window of its
own; all are steered towards the size at which a ping waits for :data:`QUEUE` seconds behind it,
as in FAST TCP. That holds on any line and through any number of tunnels.
"""

from __future__ import annotations

import math

#: Bytes that are always allowed: some pieces, so that the line is busy while one of them waits for
#: its acknowledgement.
SMALLEST = 64 << 10
#: Bytes at first, when nothing is known of the line.
START = 128 << 10
#: Bytes at most: what a line of 1 Gbit/s holds in 32 ms.
LARGEST = 4 << 20
#: Bytes of a piece: SSH carries it in packets of 32 KiB, each of which can be read only when it is
#: whole: with pieces as large as that, the smallest window left a line of 600 kB/s idle for a fifth
#: of the time (95 % used with 16 KiB, and no more with 8). At most as many bytes on a quick line.
PIECE, LONGEST = 16 << 10, 128 << 10
#: Pieces that a window holds at least, where they are longer than that.
PIECES = 16
#: Seconds that a ping may wait behind what we have under way.
QUEUE = 0.03
#: Seconds after which the shortest round trip is measured anew: the road may have changed.
RENEW = 10.0
#: Round trips that a measurement takes: one until what was under way is gone, one that counts.
_CALM = 2


class Window:
    """The bytes of one class that are under way, and how many may be."""

    def __init__(self) -> None:
        self.limit = START
        self.flying = 0
        self.held_back = False
        """Whether something had to wait for this window since it was last steered."""

    @property
    def piece(self) -> int:
        """Bytes of the pieces that are cut for it: each costs both ends the same, however long."""
        return max(PIECE, min(LONGEST, self.limit // PIECES))

    def admits(self, size: int, limit: int) -> bool:
        """Whether ``size`` bytes more may be put under way.

        One frame always may, whatever its size, where nothing else is under way.
        """
        if self.flying and self.flying + size > min(limit, self.limit):
            self.held_back = True
            return False
        return True

    def steer(self, factor: float) -> None:
        """Take one step towards a window that is ``factor`` times this one."""
        held_back, self.held_back = self.held_back, False
        if factor > 1 and not held_back:
            # A window that is not used up says nothing of a larger one.
            return
        step = (1 + min(factor, 2.0)) / 2
        self.limit = min(LARGEST, max(SMALLEST, round(self.limit * step)))


class RoundTrips:
    """The windows of one link, and the pings that steer them.

    The shortest round trip of the last :data:`RENEW` to twice that many seconds stands for the
    empty road. So that it is not measured behind our own bytes for ever, the windows are narrowed
    to :data:`SMALLEST` for two round trips each time it is measured anew.
    """

    def __init__(self) -> None:
        self.ordinary = Window()
        self.bulk = Window()
        self._older = self._newer = math.inf
        self._renew_at = -math.inf
        self._calm = 0

    @property
    def limit(self) -> int:
        """A bound on each window for the moment."""
        return SMALLEST if self._calm else LARGEST

    @property
    def held_back(self) -> bool:
        """Whether something waits for a window, so that a measurement is worth its ping."""
        return self.ordinary.held_back or self.bulk.held_back

    def measured(self, seconds: float, now: float) -> None:
        """A ping was answered after ``seconds``."""
        if now >= self._renew_at:
            # The first one on this link was not slowed by us: no need to calm down for it.
            self._calm = 0 if math.isinf(self._newer) else _CALM + 1
            self._renew_at = now + RENEW
            self._older, self._newer = self._newer, math.inf
        self._newer = min(self._newer, seconds)
        if self._calm:
            self._calm -= 1
            return
        shortest = min(self._older, self._newer)
        factor = (shortest + QUEUE) / max(seconds, 1e-6)
        self.ordinary.steer(factor)
        self.bulk.steer(factor)
