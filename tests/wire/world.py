"""Two sessions, joined by links that deliver bytes when they like and are cut when they like."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay_kernel.wire import window as windows
from relay_kernel.wire.frames import Decoder, Type
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import Forgot, Opened, Received, Session, SessionEvent, Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.wire.frames import Frame
    from relay_kernel.wire.outbox import Reference


class MemorySpool:
    """Blocks in a list. ``full``: it takes no more."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.full = False
        self.refused = 0

    def append(self, data: bytes) -> Reference | None:
        self.refused += self.full
        if self.full:
            return None
        self.blocks.append(data)
        return len(self.blocks) - 1, len(data)

    def read(self, reference: Reference) -> bytes:
        at, size = reference
        assert len(self.blocks[at]) == size
        return self.blocks[at]

    def clear(self) -> None:
        self.blocks.clear()


class End:
    """One session, and what it was given, has said and has heard."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.sent: dict[bool, list[str]] = {False: [], True: []}
        self.heard: dict[bool, list[str]] = {False: [], True: []}
        self.order: list[str] = []
        self.opened = self.forgot = 0
        self.hear: Callable[[Message], None] = self._hear
        self.up = False
        #: Written to the present link, and not at the other end yet.
        self.flying = bytearray()

    def send(self, size: int = 0, *, bulk: bool = False, state: bool = False) -> None:
        text = f"{'bulk' if bulk else 'urgent'} {len(self.sent[bulk])}"
        self.sent[bulk].append(text)
        message = Message("captured", {"text": text}, (state_of(text, size),))
        self.session.send(message if state else Message(text, {}, (bytes(size),)), bulk=bulk)

    def write(self) -> None:
        """What the session wants to write goes to the link, or nowhere."""
        data = b"".join(self.session.data_to_send())
        if self.up:
            self.flying += data

    def take(self, events: list[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, Opened):
                self.opened += 1
            elif isinstance(event, Forgot):
                self.forgot += 1
            elif isinstance(event, Received):
                self.hear(event.message)

    def _hear(self, message: Message) -> None:
        text = message.head.get("text", message.kind)
        if "text" in message.head:
            assert message.parts[0] == state_of(text, len(message.parts[0]))
        self.heard[text.startswith("bulk")].append(text)
        self.order.append(text)


def state_of(text: str, size: int) -> bytes:
    """A state, most of which others have in common with it."""
    return b"".join(b"%d," % (at % 97) for at in range(size)).replace(b",9,", text.encode())[:size]


class Joined:
    """Two ends and the link between them. Time is a number."""

    def __init__(self, left: Session | None = None, right: Session | None = None) -> None:
        self.left = End(left or Session({"session": "s"}))
        self.right = End(right or Session({"session": "s"}))
        self.now = 0.0

    @property
    def ends(self) -> tuple[tuple[End, End], tuple[End, End]]:
        """Each end, with the other."""
        return (self.left, self.right), (self.right, self.left)

    def link(self) -> None:
        """A new link takes the place of any that is there; what that one held is lost."""
        for end, _ in self.ends:
            end.flying.clear()
            end.up = True
            end.session.begin(self.now)
            end.write()

    def deliver(self, end: End, other: End, count: int | None = None) -> None:
        """The next ``count`` bytes that ``end`` wrote arrive; None: all."""
        data = bytes(end.flying[:count])
        del end.flying[: len(data)]
        if data and other.up:
            other.take(other.session.receive(data, self.now))
            other.write()

    def settle(self) -> None:
        """Everything arrives, until nobody has anything to say."""
        for end, _ in self.ends:
            end.write()
        while self.left.flying or self.right.flying:
            for end, other in self.ends:
                self.deliver(end, other)

    def cut(self) -> None:
        """Both ends see the end of the link; what was under way is lost."""
        for end, _ in self.ends:
            self.drop(end)

    def drop(self, end: End) -> None:
        """One end sees the end of the link, the other does not yet."""
        end.flying.clear()
        end.up = False
        end.session.end()
        end.session.data_to_send()

    def pass_time(self, seconds: float) -> None:
        """Both ends are woken when they want to be."""
        until = self.now + seconds
        while (at := self._deadline()) is not None and at <= until:
            self.now = max(self.now, at)
            for end, _ in self.ends:
                if any(isinstance(e, Silent) for e in end.session.handle_deadline(self.now)):
                    self.drop(end)
                end.write()
        self.now = until

    def _deadline(self) -> float | None:
        each = (end.session.next_deadline() for end, _ in self.ends if end.up)
        return min((at for at in each if at is not None), default=None)

    def check(self) -> None:
        """Every message arrived exactly once, each class in its order."""
        for end, other in self.ends:
            assert other.heard == end.sent
            assert end.session.backlog == 0, "something was never acknowledged"


def joined(left: Session | None = None, right: Session | None = None) -> Joined:
    """Two ends that have greeted."""
    world = Joined(left, right)
    world.link()
    world.settle()
    return world


def read(end: End) -> list[Frame]:
    """The frames an end has written and nobody has taken."""
    end.write()
    data, end.flying = bytes(end.flying), bytearray()
    return Decoder().feed(data)


@dataclass
class Tally:
    """What has happened in the histories: rare things must have happened at all."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: str, *, when: bool = True) -> None:
        self.counts[what] = self.counts.get(what, 0) + when


def live(
    seed: int, kind: type[Session] = Session, tally: Tally | None = None, states: float = 0.0
) -> None:
    """A history of two ends, told by ``seed``; its end is checked.

    Args:
        seed: tells it.
        kind: of both ends.
        tally: what happened is added to it.
        states: how often states are among the messages.

    Raises:
        AssertionError: a message was lost, doubled or out of order.
        ProtocolError: one end took the other for broken.
    """
    _History(random.Random(seed), kind, tally or Tally(), states).run()


class _History:
    def __init__(
        self, chance: random.Random, kind: type[Session], tally: Tally, states: float
    ) -> None:
        self.states = states
        heartbeat = chance.choice([None, 1.0])
        hello: dict[str, Any] = {"session": "s"}
        self.spools = [MemorySpool(), MemorySpool()]
        left, right = (kind(hello, heartbeat, spool) for spool in self.spools)
        self.world = Joined(left, right)
        for session in (left, right):
            # Some waiting messages are too many for memory.
            session._ordinary._memory = 1500
        self.chance = chance
        self.tally = tally

    def run(self) -> None:
        arrive = self.arrive
        steps = [self.send, arrive, arrive, arrive, self.wait, self.fail, self.probe, self.fill]
        for _ in range(self.chance.randint(20, 120)):
            self.chance.choice(steps)()
        for spool in self.spools:
            self.tally.add("disk full", when=bool(spool.refused))
            spool.full = False
        # At last, a link that holds.
        self.world.link()
        self.world.settle()
        for _ in range(3):
            self.world.pass_time(0.1)
            self.world.settle()
        self.world.check()
        for end, _ in self.world.ends:
            bulk = [i for i, text in enumerate(end.order) if text.startswith("bulk")]
            self.tally.add("messages", when=bool(end.order))
            self.tally.add("both classes", when=0 < len(bulk) < len(end.order))

    def send(self) -> None:
        end, _ = self.chance.choice(self.world.ends)
        for _ in range(self.chance.choice([1, 1, 5])):
            end.send(self.chance.choice([0, 1, 100, 300]), bulk=self.chance.random() < 0.4)
        if self.states and self.chance.random() < self.states:
            end.send(self.chance.choice([0, 100, 300]), state=True)
            self.tally.add("state")
        self.tally.add("sent while cut", when=not end.up)
        self.tally.add("spooled", when=end.session._ordinary.spooled > 0)
        end.write()
        self.tally.add("held back", when=end.session._trips.held_back)

    def arrive(self) -> None:
        end, other = self.chance.choice(self.world.ends)
        self.world.pass_time(self.chance.choice([0, 0, 0.05]))
        if end.flying:
            some = self.chance.randint(1, len(end.flying))
            self.world.deliver(end, other, self.chance.choice([1, some, None]))
            for window in (other.session._trips.bulk, other.session._trips.ordinary):
                self.tally.add("wider", when=window.limit > windows.START)
                self.tally.add("narrower", when=window.limit < windows.START)

    def wait(self) -> None:
        ups = [end.up for end, _ in self.world.ends]
        self.world.pass_time(self.chance.choice([0.01, 0.06, 0.5, 6.0]))
        self.tally.add("silence", when=ups != [end.up for end, _ in self.world.ends])

    def probe(self) -> None:
        """One end wants to know whether the other is there, and may not hear of it in time."""
        end, other = self.chance.choice(self.world.ends)
        was_up = end.up
        end.session.probe(self.world.now, 0.3)
        end.write()
        if self.chance.random() < 0.5:
            self.world.deliver(end, other)
            self.world.deliver(other, end)
        self.world.pass_time(0.4)
        self.tally.add("probed", when=was_up)
        self.tally.add("found dead by a probe", when=was_up and not end.up)

    def fill(self) -> None:
        """A disk is full, or has room again."""
        spool = self.chance.choice(self.spools)
        spool.full = not spool.full

    def fail(self) -> None:
        """The link is cut for one end or for both, or a new one comes."""
        how = self.chance.choice(["cut", "half", "link", "link", "link"])
        in_fragments = any(end.session._fragments[Type.BULK].parts for end, _ in self.world.ends)
        self.tally.add(how)
        self.tally.add("cut within a bulk message", when=in_fragments)
        spooled = any(end.session._ordinary.spooled for end, _ in self.world.ends)
        self.tally.add("cut while spooled", when=spooled)
        self.tally.add("cut with bytes under way", when=any(e.flying for e, _ in self.world.ends))
        if how == "cut":
            self.world.cut()
        elif how == "half":
            self.world.drop(self.chance.choice(self.world.ends)[0])
        else:
            backlog = self.world.left.session.backlog
            self.world.link()
            self.tally.add("replay", when=backlog > 0)
