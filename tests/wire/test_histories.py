"""Links come and go and are cut anywhere: no message is lost, none doubled, none out of order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.wire import frames, outbox, window
from relay_kernel.wire import session as module
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Type
from relay_kernel.wire.session import Session
from tests.wire.world import Joined, Tally, joined, live

if TYPE_CHECKING:
    from relay_kernel.wire.frames import Data
    from relay_kernel.wire.message import Part
    from relay_kernel.wire.outbox import Piece
    from relay_kernel.wire.session import Forgot, Opened, Received

SEEDS = 500


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of some bytes has fragments, the windows close, and the spool is used."""
    monkeypatch.setattr(outbox, "BLOCK", 600)
    monkeypatch.setattr(window, "PIECE", 40)
    monkeypatch.setattr(window, "LONGEST", 90)
    monkeypatch.setattr(window, "PIECES", 4)
    monkeypatch.setattr(window, "SMALLEST", 80)
    monkeypatch.setattr(window, "START", 160)
    monkeypatch.setattr(window, "LARGEST", 400)
    monkeypatch.setattr(module, "ACK_MESSAGES", 4)
    monkeypatch.setattr(module, "ACK_BYTES", 80)


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
        "spooled",
        "cut while spooled",
        "disk full",
        "held back",
        "wider",
        "narrower",
        "probed",
        "found dead by a probe",
    }
    assert {what for what in rare if tally.counts.get(what, 0) < 20} == set()


def test_states_arrive_whole_whatever_is_cut() -> None:
    """Each is made of the one before it, which came over another link, or out of the spool."""
    tally = Tally()
    for seed in range(SEEDS, SEEDS + 200):
        live(seed, tally=tally, states=0.5)
    rare = {"state", "cut", "half", "replay", "sent while cut", "cut while spooled"}
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

    def greeted(self, hello: dict[str, Any]) -> Opened | Forgot:
        received = min(hello["received"] + 1, self._number)
        return super().greeted({**hello, "received": received})


class ReplaysNothing(Session):
    """Forgets at a cut what was under way."""

    def end(self) -> None:
        super().end()
        self._again.clear()


class GreetsOneBehind(Session):
    """Says that it lacks the last message, which it has."""

    def begin(self, now: float) -> None:
        self.received = max(0, self.received - 1)
        super().begin(now)


class CountsWhatItDrops(Session):
    """Takes a message for delivered that the link may yet lose."""

    def _on_data(self, frame: Data, now: float) -> Received | None:
        event = super()._on_data(frame, now)
        self.received += frame.number % 7 == 0
        return event


class ForgetsHalfAMessage(Session):
    """Throws away with the link the fragments that came over it."""

    def begin(self, now: float) -> None:
        for fragments in self._fragments.values():
            fragments.parts.clear()
        super().begin(now)


class AcksTooEarly(Session):
    """Acknowledges one message before it is there."""

    def data_to_send(self) -> list[Part]:
        self.received += self._ack
        out = super().data_to_send()
        self.received -= out[-1:] == [frames.ack(self.received)]
        return out


class KeepsTheWindow(Session):
    """Never gives back the part of the window that a cut took down."""

    def begin(self, now: float) -> None:
        trips = self._trips
        super().begin(now)
        self._trips = trips


class NumbersTooEarly(Session):
    """Gives a number to what then has to wait for the window."""

    def _fits(self, piece: Piece) -> bool:
        fits = super()._fits(piece)
        self._number += not fits and not self._again
        return fits


class ReplaysInDisorder(Session):
    """Puts what was under way at a cut behind what was so at an earlier one."""

    def end(self) -> None:
        flying = list(self._flying)
        super().end()
        for _ in flying:
            self._again.append(self._again.popleft())


class LosesTheSpool(Session):
    """Takes what is in the spool for gone with the link."""

    def end(self) -> None:
        super().end()
        if self._ordinary.spooled:
            self._ordinary.clear()


class CountsInTheWrongWindow(Session):
    """Takes what bulk has under way from the other window."""

    def _settle(self, received: int) -> None:
        trips = self._trips
        trips.bulk, trips.ordinary = trips.ordinary, trips.bulk
        super()._settle(received)
        trips.bulk, trips.ordinary = trips.ordinary, trips.bulk


class MixesTheClasses(Session):
    """Joins fragments of both classes."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._fragments[Type.BULK] = self._fragments[Type.PART]


PLANTED = [
    SettlesOneTooMany,
    ReplaysOneTooFew,
    ReplaysNothing,
    GreetsOneBehind,
    CountsWhatItDrops,
    ForgetsHalfAMessage,
    AcksTooEarly,
    KeepsTheWindow,
    NumbersTooEarly,
    ReplaysInDisorder,
    LosesTheSpool,
    CountsInTheWrongWindow,
    MixesTheClasses,
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
