"""Links come and go and are cut anywhere: no message is lost, none doubled, none out of order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.wire import session as module
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.session import Session
from tests.wire.world import Joined, Tally, joined, live

if TYPE_CHECKING:
    from relay_kernel.wire.frames import Data
    from relay_kernel.wire.message import Message
    from relay_kernel.wire.session import Opened

SEEDS = 500


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bulk message of some bytes has fragments, and the credit runs out."""
    monkeypatch.setattr(module, "BULK_FRAGMENT", 40)
    monkeypatch.setattr(module, "BULK_CREDIT", 160)
    monkeypatch.setattr(module, "ACK_MESSAGES", 4)
    monkeypatch.setattr(module, "ACK_BYTES", 400)


def test_every_message_arrives_once_and_in_order() -> None:
    tally = Tally()
    for seed in range(SEEDS):
        live(seed, tally=tally)
    # A history in which nothing happens proves nothing.
    rare = {
        "cut",
        "half",
        "replay",
        "silence",
        "both classes",
        "sent while cut",
        "cut within a bulk message",
        "cut with bytes under way",
    }
    assert {what for what in rare if tally.counts.get(what, 0) < 20} == set()


def script(world: Joined) -> None:
    """Some of everything, from both ends."""
    for end, _ in world.ends:
        end.send(3)
        end.send(100, bulk=True)
        end.send(0)
        end.send(30, bulk=True)


def cut_after(count: int, *, greeted: bool, leftward: bool) -> bool:
    """Cut the link after ``count`` bytes in one direction, go on over another, and check.

    Returns:
        Whether so many bytes came at all.
    """
    world = joined() if greeted else Joined()
    if not greeted:
        world.link()
    script(world)
    end, other = world.ends[leftward]
    for each, _ in world.ends:
        each.write()
    # The other direction flows freely.
    while count and (end.flying or other.flying):
        world.deliver(other, end)
        step = min(count, len(end.flying))
        world.deliver(end, other, step)
        count -= step
    world.cut()
    world.link()
    world.settle()
    world.pass_time(0.1)
    world.settle()
    world.check()
    return count == 0


@pytest.mark.parametrize("leftward", [False, True], ids=["to the right", "to the left"])
@pytest.mark.parametrize("greeted", [False, True], ids=["replaying", "sending"])
def test_a_cut_after_any_byte_costs_nothing(greeted: bool, leftward: bool) -> None:
    count = 0
    while cut_after(count, greeted=greeted, leftward=leftward):
        count += 1
    assert count > 400, "the script is shorter than it should be"


class SettlesOneTooMany(Session):
    """Takes one message more for received than the peer said."""

    def _settle(self, received: int) -> None:
        super()._settle(min(received + 1, self._number))


class ReplaysOneTooFew(Session):
    """Skips the first message that the peer lacks."""

    def greeted(self, hello: dict[str, Any]) -> Opened:
        received = min(hello["received"] + 1, self._number)
        return super().greeted({**hello, "received": received})


class ReplaysNothing(Session):
    """Forgets at a cut what was under way."""

    def end(self) -> None:
        super().end()
        self._outbox.clear()


class GreetsOneBehind(Session):
    """Says that it lacks the last message, which it has."""

    def begin(self, now: float) -> None:
        self.received = max(0, self.received - 1)
        super().begin(now)


class CountsWhatItDrops(Session):
    """Takes a message for delivered that the link may yet lose."""

    def _on_data(self, frame: Data, now: float) -> Message | None:
        message = super()._on_data(frame, now)
        self.received += frame.number % 7 == 0
        return message


class ForgetsHalfAMessage(Session):
    """Throws away with the link the fragments that came over it."""

    def begin(self, now: float) -> None:
        self._fragments.clear()
        super().begin(now)


class AcksTooEarly(Session):
    """Acknowledges one message before it is there."""

    def _acknowledge(self) -> None:
        self.received += 1
        super()._acknowledge()
        self.received -= 1


class KeepsTheCredit(Session):
    """Never gives back the credit of bulk that a cut took down."""

    def end(self) -> None:
        super().end()
        for sent in self._outbox:
            sent.bulk = 0


PLANTED = [
    SettlesOneTooMany,
    ReplaysOneTooFew,
    ReplaysNothing,
    GreetsOneBehind,
    CountsWhatItDrops,
    ForgetsHalfAMessage,
    AcksTooEarly,
    KeepsTheCredit,
]


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found(kind: type[Session]) -> None:
    """The same histories that the session survives are too much for a wrong one."""
    found = 0
    for seed in range(50):
        try:
            live(seed, kind)
        except (AssertionError, ProtocolError):
            found += 1
    assert found > 0
