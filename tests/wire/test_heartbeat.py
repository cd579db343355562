"""A session notices that its peer is gone, and one that is asked notices it soon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Ack, Type
from relay_kernel.wire.pulse import MISSED
from relay_kernel.wire.session import (
    Answered,
    Session,
    Silent,
)
from tests.wire.peer import flat, message, opened
from tests.wire.world import Joined

if TYPE_CHECKING:
    from relay_kernel.wire.session import SessionEvent


class TestHeartbeat:
    def test_a_silent_peer_is_noticed_after_some_heartbeats_and_not_before(self) -> None:
        session = opened(heartbeat=2.0)
        heard = 1.0
        session.receive(frames.ack(0), heard)
        at = 0.0
        events: list[SessionEvent] = []
        while not events:
            due = session.next_deadline()
            assert due is not None
            assert due > at
            at = due
            events = session.handle_deadline(at)
        assert events == [Silent()]
        assert heard + MISSED * 2.0 <= at <= heard + (MISSED + 1) * 2.0
        # Once is enough.
        assert session.next_deadline() is None

    def test_a_peer_that_says_anything_is_not_silent(self) -> None:
        session = opened(heartbeat=1.0)
        for second in range(1, 60):
            assert session.handle_deadline(float(second)) == []
            session.receive(frames.ack(0), float(second))

    def test_half_a_frame_is_a_sign_of_life(self) -> None:
        """A large message over a slow link takes longer than some heartbeats."""
        session = opened(heartbeat=1.0)
        whole = message(1) * 100
        for second in range(1, 60):
            session.receive(whole[second - 1 : second], float(second))
            assert session.handle_deadline(float(second)) == []

    def test_a_peer_that_never_greets_is_noticed_and_not_pinged(self) -> None:
        session = Session({}, 1.0)
        session.begin(0.0)
        session.data_to_send()
        events: list[object] = []
        while not events:
            due = session.next_deadline()
            assert due is not None
            events += session.handle_deadline(due)
        assert events == [Silent()]
        assert session.data_to_send() == []

    def test_a_pong_gives_the_round_trip(self) -> None:
        world = Joined(Session({"session": "s"}, 1.0), Session({"session": "s"}))
        assert world.left.session.rtt is None
        world.link()
        world.settle()
        # Both have greeted, so the first was sent at once.
        assert world.left.session.rtt == 0
        world.pass_time(1.0)
        world.now += 0.25
        world.deliver(world.left, world.right)
        world.deliver(world.right, world.left)
        assert world.left.session.rtt == pytest.approx(0.25)
        assert world.right.session.rtt is None

    def test_an_answer_counts_from_when_its_ping_was_sent(self) -> None:
        """A lease may not count from the answer: the peer said it earlier, and may be gone."""
        session = opened(heartbeat=1.0)
        session.receive(frames.ping(Type.PONG, 0, 0.0), 0.5)
        assert session.answered_at == 0.0
        session.handle_deadline(1.0)
        (ping,) = frames.Decoder().feed(flat(session.data_to_send()))
        assert ping == Ack(Type.PING, 0, 1.0)
        assert session.receive(frames.ping(Type.PONG, 0, 1.0), 3.0) == [Answered(1.0)]
        assert (session.answered_at, session.heard_at) == (1.0, 3.0)
        session.begin(4.0)
        assert session.answered_at == 1.0, "an answer of an earlier link is one all the same"

    @pytest.mark.parametrize("time", [1.5, -1.0, float("nan"), float("inf")])
    def test_an_answer_to_what_was_never_asked_is_refused(self, time: float) -> None:
        """It would make a lease longer than anybody granted."""
        session = opened(heartbeat=1.0)
        with pytest.raises(ProtocolError, match="a ping that was not sent"):
            session.receive(frames.ping(Type.PONG, 0, time), 0.0)
        assert session.answered_at is None

    def test_an_answer_counts_once(self) -> None:
        session = opened(heartbeat=1.0)
        pong = frames.ping(Type.PONG, 0, 0.0)
        session.receive(pong, 0.0)
        with pytest.raises(ProtocolError, match="a ping that was not sent"):
            session.receive(pong, 0.0)

    def test_after_a_jump_of_the_clock_the_link_is_dead_at_the_next_look(self) -> None:
        """The machine slept: whatever was promised before it is over."""
        session = opened(heartbeat=1.0)
        due = session.next_deadline()
        assert due is not None
        assert session.handle_deadline(due + 3600) == [Silent()]

    def test_without_a_heartbeat_nothing_wakes_an_idle_session(self) -> None:
        assert opened().next_deadline() is None

    def test_pings_do_not_pile_up_where_nothing_can_be_written(self) -> None:
        session = opened(heartbeat=1.0)
        session.receive(b"".join(frames.ping(Type.PING, 0, t) for t in (1.0, 2.0, 3.0)), 3.0)
        for at in (1.0, 2.0, 3.0):
            session.handle_deadline(at)
        got = frames.Decoder().feed(flat(session.data_to_send()))
        assert got == [Ack(Type.PONG, 0, 3.0), Ack(Type.PING, 0, 3.0)]


class TestProbe:
    """An interrupt wants to know at once whether anybody is there to hear it."""

    @staticmethod
    def silent_after(session: Session, probed: float) -> float:
        """Seconds until the session finds the link dead."""
        events: list[SessionEvent] = []
        at = probed
        while not events:
            due = session.next_deadline()
            assert due is not None
            at = due
            events = session.handle_deadline(at)
        assert events == [Silent()]
        return at - probed

    @pytest.mark.parametrize("heartbeat", [None, 10.0])
    def test_it_pings_at_once_and_ends_a_silent_link_in_time(self, heartbeat: float | None) -> None:
        session = opened(heartbeat)
        session.probe(5.0, 1.5)
        (ping,) = frames.Decoder().feed(flat(session.data_to_send()))
        assert ping == Ack(Type.PING, 0, 5.0)
        assert self.silent_after(session, 5.0) == 1.5
        assert session.next_deadline() is None

    def test_any_sign_of_life_is_enough(self) -> None:
        """Its answer may have to wait behind a flood."""
        session = opened(heartbeat=10.0)
        session.probe(5.0, 1.5)
        session.receive(message(1)[:1], 6.0)
        assert session.handle_deadline(6.5) == []
        assert self.silent_after(session, 6.0) == MISSED * 10.0

    def test_the_least_patient_counts(self) -> None:
        session = opened(heartbeat=10.0)
        session.probe(5.0, 1.0)
        session.probe(5.5, 3.0)
        assert self.silent_after(session, 5.0) == 1.0

    def test_it_cannot_make_a_link_live_longer(self) -> None:
        session = opened(heartbeat=0.5)
        session.probe(0.0, 60.0)
        assert self.silent_after(session, 0.0) == MISSED * 0.5

    def test_a_peer_that_has_not_greeted_is_given_no_more_time(self) -> None:
        session = Session({}, 10.0)
        session.begin(0.0)
        session.data_to_send()
        session.probe(1.0, 1.0)
        assert session.data_to_send() == []
        assert self.silent_after(session, 1.0) == 1.0

    def test_without_a_link_there_is_nobody_to_ask(self) -> None:
        session = Session({}, 1.0)
        session.probe(1.0, 1.0)
        assert session.next_deadline() is None
        session.begin(5.0)
        assert self.silent_after(session, 5.0) == MISSED
