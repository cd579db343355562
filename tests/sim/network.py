"""Links of bytes: late, in pieces, cut, silent, at a limited rate; never out of order, as TCP."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from relay_kernel.wire.message import Part
    from tests.sim.clock import Clock, Process, Timer

#: Bytes under way above which a writer is to wait.
CLOGGED = 64 << 10
#: What a line delivers at once: so many bytes, or as many as it carries in so many seconds.
PACKET = 1500
SMOOTH = 0.05


class Line:
    """The way to one machine. A hole lets nothing through and says nothing of it."""

    def __init__(self, clock: Clock, chance: random.Random, *, delay: float, rate: float) -> None:
        self.clock = clock
        self.chance = chance
        self.delay = delay
        self.rate = rate
        #: Directions (0 to the agent, 1 to R) in which nothing passes now.
        self.holes: set[int] = set()
        self.links: list[Link] = []

    @property
    def passes(self) -> bool:
        return not self.holes

    def open_hole(self, directions: Sequence[int]) -> None:
        self.holes.update(directions)

    def heal(self) -> None:
        self.holes.clear()
        for link in self.links:
            for pipe in link.pipes:
                pipe.wake()

    def connect(self, near: Process, far: Process) -> Link:
        self.links = [link for link in self.links if not link.is_over]
        link = Link(self, near, far)
        self.links.append(link)
        return link

    def cut(self) -> None:
        """All connections are reset; both ends hear of it, if anything passes."""
        for link in self.links:
            link.cut()

    def forsake(self) -> None:
        """The far end is gone without a word: power."""
        for link in self.links:
            link.forsake()


class Pipe:
    """One direction of a link."""

    def __init__(self, line: Line | None, chance: random.Random, reader: Process, way: int) -> None:
        self._line = line
        self._chance = chance
        self._reader = reader
        self._clock = reader.clock
        self._way = way
        self._flying: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0
        self._timer: Timer | None = None
        self._ending = False
        self.size = 0
        self.dead = False
        self.forsaken = False
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.on_end: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        if self.dead or self._ending:
            return
        delay = self._line.delay * (0.5 + self._chance.random()) if self._line else 0.0
        before = self._flying[-1][0] if self._flying else 0.0
        self._flying.append((max(before, self._clock.now + delay), data))
        self.size += len(data)
        self.wake()

    def finish(self) -> None:
        """The end comes after what was written."""
        if not self.dead and not self._ending:
            self._ending = True
            delay = self._line.delay if self._line else 0.0
            self._flying.append((self._clock.now + delay, b""))
            self.wake()

    def cut(self) -> None:
        """Some of what is under way still comes, then the end."""
        if self.dead:
            return
        kept = self._chance.randint(0, len(self._flying))
        self._flying = deque(list(self._flying)[:kept])
        self._ending = False
        self.finish()

    def stop_reading(self) -> None:
        """The reader has closed: what comes now is lost."""
        self.dead = True
        self._flying.clear()
        self.size = 0

    @property
    def _blocked(self) -> bool:
        return self.forsaken or (self._line is not None and self._way in self._line.holes)

    def wake(self) -> None:
        if self._timer is None and self._flying and not self.dead and not self._blocked:
            at = max(self._flying[0][0], self._free_at)
            self._timer = self._clock.call_later(at - self._clock.now, self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        if self.dead or self._blocked or not self._flying:
            return
        ready, data = self._flying.popleft()
        if not data and self._ending:
            self.dead = True
            self._reader.take(lambda: self.on_end())
            return
        data = self._piece(ready, data)
        self.size -= len(data)
        if self._line:
            self._free_at = self._clock.now + len(data) / self._line.rate
        self._reader.take(lambda: self.on_data(data))
        if self.size < CLOGGED // 2:
            self.on_room()
        self.wake()

    def _piece(self, ready: float, data: bytes) -> bytes:
        """All of one write and of those that have come with it, or only the beginning of it."""
        if self._line and len(data) > 1 and self._chance.random() < 0.2:
            some = self._chance.randint(1, len(data) - 1)
            self._flying.appendleft((ready, data[some:]))
            return data[:some]
        while self._flying and self._flying[0][0] <= self._clock.now and self._flying[0][1]:
            data += self._flying.popleft()[1]
        most = max(PACKET, int(self._line.rate * SMOOTH)) if self._line else len(data)
        if len(data) > most:
            self._flying.appendleft((ready, data[most:]))
        return data[:most]


class End:
    """One end of a link, as a process sees it."""

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self.incoming = incoming
        self.outgoing = outgoing

    def write(self, parts: Sequence[Part]) -> None:
        self.outgoing.write(b"".join(parts))

    @property
    def clogged(self) -> bool:
        return self.outgoing.size > CLOGGED

    def close(self) -> None:
        self.incoming.stop_reading()
        self.outgoing.finish()


class Link:
    """A connection of two processes. ``line`` is None within one machine."""

    def __init__(self, line: Line, near: Process, far: Process, *, local: bool = False) -> None:
        way = None if local else line
        self.pipes = (Pipe(way, line.chance, far, 0), Pipe(way, line.chance, near, 1))
        self.near = End(self.pipes[1], self.pipes[0])
        self.far = End(self.pipes[0], self.pipes[1])

    @property
    def is_over(self) -> bool:
        return all(pipe.dead for pipe in self.pipes)

    def cut(self) -> None:
        for pipe in self.pipes:
            pipe.cut()

    def forsake(self) -> None:
        for pipe in self.pipes:
            pipe.forsaken = True
