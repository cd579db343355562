"""What survives links: who may say what and when, and what waits for what."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire import frames, outbox
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Ack, Data, Note, Type
from relay_kernel.wire.message import Message, encode
from relay_kernel.wire.outbox import PIECE
from relay_kernel.wire.pulse import MISSED
from relay_kernel.wire.session import (
    ACK_MESSAGES,
    ACK_SECONDS,
    BULK_AHEAD,
    PROTOCOL,
    Answered,
    Forgot,
    Opened,
    Parted,
    Received,
    Refused,
    Session,
    Silent,
)
from relay_kernel.wire.window import START
from tests.wire.world import Joined, joined, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.wire.message import Part
    from relay_kernel.wire.session import SessionEvent

HELLO = {"protocol": PROTOCOL, "session": "s", "received": 0}
KIB = 1 << 10


def flat(parts: Sequence[Part]) -> bytes:
    return b"".join(parts)


def message(number: int, received: int = 0, kind: str = "m") -> bytes:
    return flat(frames.data(number, received, encode(Message(kind))))


def opened(heartbeat: float | None = None, **fields: Any) -> Session:
    """A session whose peer, played by the test, has greeted."""
    session = Session({"session": "s"}, heartbeat)
    session.begin(0.0)
    session.greeted({**HELLO, **fields})
    session.data_to_send()
    return session


class TestGreeting:
    def test_it_says_what_was_received(self) -> None:
        session = opened()
        session.receive(message(1) + message(2), 0.0)
        session.begin(1.0)
        (note,) = frames.Decoder().feed(flat(session.data_to_send()))
        assert isinstance(note, Note)
        assert note.type is Type.HELLO
        assert note.fields == {"protocol": PROTOCOL, "session": "s", "received": 2}

    def test_what_the_peer_says_of_itself_is_handed_on(self) -> None:
        world = Joined(Session({"session": "s", "host": "here"}), Session({"host": "there"}))
        world.link()
        (event,) = world.left.session.receive(bytes(world.right.flying), 0.0)
        assert isinstance(event, Opened)
        assert event.hello["host"] == "there"
        assert world.left.session.is_open
        assert not world.right.session.is_open

    def test_nothing_is_sent_before_the_peer_has_greeted(self) -> None:
        session = Session({"session": "s"})
        session.begin(0.0)
        session.send(Message("early"))
        session.send(Message("early"), bulk=True)
        (note,) = frames.Decoder().feed(flat(session.data_to_send()))
        assert isinstance(note, Note)

    def test_another_protocol_is_refused_with_both_numbers(self) -> None:
        session = Session({})
        session.begin(0.0)
        with pytest.raises(ProtocolError, match=f"protocol 99, not {PROTOCOL}"):
            session.receive(frames.note(Type.HELLO, {**HELLO, "protocol": 99}), 0.0)

    def test_a_second_greeting_is_refused(self) -> None:
        with pytest.raises(ProtocolError, match="greeting"):
            opened().receive(frames.note(Type.HELLO, HELLO), 0.0)

    @pytest.mark.parametrize("received", [None, "0", 0.0, [0]])
    def test_a_greeting_that_counts_nothing_is_refused(self, received: object) -> None:
        session = Session({})
        session.begin(0.0)
        with pytest.raises(ProtocolError, match="greeting"):
            session.greeted({**HELLO, "received": received})

    @pytest.mark.parametrize(
        "early",
        [message(1), frames.ack(0), frames.ping(Type.PING, 0, 0.0)],
        ids=["data", "ack", "ping"],
    )
    def test_data_before_the_greeting_is_refused(self, early: bytes) -> None:
        session = Session({})
        session.begin(0.0)
        with pytest.raises(ProtocolError, match="before its greeting"):
            session.receive(early, 0.0)

    def test_a_new_link_wants_a_greeting_of_its_own(self) -> None:
        session = opened()
        session.begin(1.0)
        with pytest.raises(ProtocolError, match="before its greeting"):
            session.receive(message(1), 1.0)

    def test_a_refusal_and_a_goodbye_come_with_their_reasons(self) -> None:
        session = Session({})
        session.begin(0.0)
        (event,) = session.receive(frames.note(Type.REFUSE, {"why": "unknown session"}), 0.0)
        assert event == Refused({"why": "unknown session"})
        world = joined()
        world.left.session.part("shutdown")
        world.left.write()
        (event,) = world.right.session.receive(bytes(world.left.flying), 0.0)
        assert event == Parted({"reason": "shutdown"})

    def test_a_goodbye_without_a_link_is_said_to_nobody(self) -> None:
        session = Session({})
        session.part("shutdown")
        assert session.data_to_send() == []


class TestNumbers:
    def test_a_gap_is_refused(self) -> None:
        session = opened()
        session.receive(message(1), 0.0)
        with pytest.raises(ProtocolError, match="message 3 came after 1"):
            session.receive(message(3), 0.0)
        assert session.received == 1

    def test_a_message_that_comes_again_is_refused(self) -> None:
        """A correct peer goes on from what this end said it has; this one plays back."""
        session = opened()
        assert len(session.receive(message(1), 0.0)) == 1
        with pytest.raises(ProtocolError, match="message 1 came again"):
            session.receive(message(1), 0.0)
        assert session.received == 1

    def test_an_ack_of_what_was_never_sent_is_refused(self) -> None:
        session = opened()
        session.send(Message("one"))
        session.data_to_send()
        with pytest.raises(ProtocolError, match="acknowledges 2, but only 1"):
            session.receive(frames.ack(2), 0.0)

    def test_a_peer_that_counts_more_than_was_ever_sent_ends_the_session(self) -> None:
        """It is this end that lost its memory: an agent that was started anew, say."""
        session = Session({})
        session.begin(0.0)
        hello = {**HELLO, "received": 7}
        assert session.greeted(hello) == Forgot(hello)
        assert not session.is_open

    def test_an_old_ack_is_harmless(self) -> None:
        session = opened()
        for _ in range(3):
            session.send(Message("m"))
        session.data_to_send()
        session.receive(frames.ack(2), 0.0)
        session.receive(frames.ack(1), 0.0)
        assert session.backlog == 1

    @pytest.mark.parametrize("kept", [2, 3], ids=["some kept", "none kept"])
    def test_a_peer_that_lost_what_it_had_acknowledged_ends_the_session(self, kept: int) -> None:
        """To go on would skip messages: the session cannot be resumed, on any link."""
        session = opened()
        for _ in range(3):
            session.send(Message("m"))
        session.data_to_send()
        session.receive(frames.ack(kept), 0.0)
        for at in (1.0, 2.0):
            session.begin(at)
            (event,) = session.receive(frames.note(Type.HELLO, HELLO), at)
            assert event == Forgot(HELLO)
            assert not session.is_open
            # Nothing is replayed, and nothing is kept.
            (note,) = frames.Decoder().feed(flat(session.data_to_send()))
            assert isinstance(note, Note)
            assert session.backlog == 0

    @pytest.mark.parametrize("both", [False, True], ids=["one sent", "both sent"])
    def test_whoever_had_an_answer_sees_that_the_other_forgot(self, both: bool) -> None:
        world = joined()
        world.left.send()
        if both:
            world.right.send()
        world.settle()
        world.pass_time(1)
        world.settle()
        world.right.session = Session({"session": "s"})
        world.link()
        world.settle()
        assert (world.left.forgot, world.right.forgot) == (1, both)

    def test_after_a_link_that_broke_the_protocol_the_session_goes_on_over_another(self) -> None:
        world = joined()
        world.left.send()
        with pytest.raises(ProtocolError):
            world.right.session.receive(b"\xff" * 9, 0.0)
        world.link()
        world.settle()
        world.pass_time(1)
        world.settle()
        world.check()


class TestAcknowledging:
    def test_a_message_is_acknowledged_after_a_moment(self) -> None:
        session = opened()
        session.receive(message(1), 10.0)
        assert session.next_deadline() == 10.0 + ACK_SECONDS
        assert session.data_to_send() == []
        session.handle_deadline(10.0 + ACK_SECONDS)
        assert session.data_to_send() == [frames.ack(1)]
        assert session.next_deadline() is None

    def test_many_messages_are_acknowledged_at_once(self) -> None:
        session = opened()
        session.receive(b"".join(message(n) for n in range(1, ACK_MESSAGES + 1)), 0.0)
        assert session.data_to_send() == [frames.ack(ACK_MESSAGES)]

    def test_an_answer_is_acknowledgement_enough(self) -> None:
        session = opened()
        session.receive(message(1), 0.0)
        session.send(Message("answer"))
        (answer,) = frames.Decoder().feed(flat(session.data_to_send()))
        assert isinstance(answer, Data)
        assert answer.received == 1
        assert session.next_deadline() is None

    def test_what_is_acknowledged_is_not_kept(self) -> None:
        world = joined()
        for _ in range(100):
            world.left.send()
        world.settle()
        world.pass_time(1)
        world.settle()
        assert world.left.session.backlog == 0


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


class TestBulk:
    @staticmethod
    def bulk_bytes(parts: Sequence[Part]) -> int:
        got = frames.Decoder().feed(flat(parts))
        return sum(f.body.nbytes for f in got if isinstance(f, Data) and not f.whole)

    def test_no_more_than_the_credit_is_under_way(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(1 << 20),)), bulk=True)
        assert self.bulk_bytes(session.data_to_send()) == START
        # Each acknowledged fragment makes room for one more.
        session.receive(frames.ack(2), 0.0)
        assert self.bulk_bytes(session.data_to_send()) == 2 * PIECE
        assert session.data_to_send() == []

    def test_nor_after_a_cut(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(1 << 20),)), bulk=True)
        session.data_to_send()
        session.begin(1.0)
        session.data_to_send()
        session.greeted({**HELLO, "received": 1})
        assert self.bulk_bytes(session.data_to_send()) == START

    @pytest.mark.parametrize("size", [10, 20 * KIB, 40 * KIB, 200 * KIB])
    def test_chunks_of_any_size_stay_within_the_window(self, size: int) -> None:
        session = opened()
        for _ in range(20):
            session.send(Message("chunk", {}, (bytes(size),)), bulk=True)
        assert min(20 * size, START - PIECE) <= self.bulk_bytes(session.data_to_send()) <= START

    def test_a_small_message_overtakes_what_waits(self) -> None:
        world = joined()
        for _ in range(3):
            world.left.send(1 << 20, bulk=True)
        world.left.send(10)
        world.settle()
        assert world.right.order == ["urgent 0", "bulk 0", "bulk 1", "bulk 2"]

    def test_a_small_message_waits_for_no_more_than_the_window(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(8 << 20),)), bulk=True)
        got = frames.Decoder().feed(flat(session.data_to_send()))
        assert len(got) == START // PIECE
        session.send(Message("stop"))
        (stop,) = frames.Decoder().feed(flat(session.data_to_send()))
        assert isinstance(stop, Data)
        assert stop.whole

    def test_a_small_message_overtakes_what_is_not_written_yet(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(8 << 20),)), bulk=True)
        session.send(Message("stop"))
        stop, *others = frames.Decoder().feed(flat(session.data_to_send()))
        assert isinstance(stop, Data)
        assert stop.whole
        assert len(others) == START // PIECE

    def test_both_directions_at_once_do_not_stand_still(self) -> None:
        world = joined()
        for end, _ in world.ends:
            for _ in range(5):
                end.send(300 * KIB, bulk=True)
        world.settle()
        world.pass_time(1)
        world.settle()
        world.check()

    def test_more_is_wanted_until_enough_waits(self) -> None:
        session = opened()
        sent = 0
        while session.wants_bulk:
            session.send(Message("chunk", {}, (bytes(1 << 20),)), bulk=True)
            sent += 1
        assert BULK_AHEAD >> 20 <= sent <= (BULK_AHEAD >> 20) + 1

    def test_a_message_of_many_fragments_is_whole(self) -> None:
        world = joined()
        content = bytes(range(256)) * KIB
        world.left.session.send(Message("chunk", {}, (content, b"")), bulk=True)
        got: list[Any] = []
        while True:
            world.left.write()
            if not world.left.flying:
                break
            got += world.right.session.receive(bytes(world.left.flying), 0.0)
            world.left.flying.clear()
            world.right.write()
            world.deliver(world.right, world.left)
        assert got == [Received(Message("chunk", {}, (content, b"")))]


class TestOrdinary:
    """The class of everything that is not bulk has a window of its own."""

    @staticmethod
    def sizes(session: Session) -> list[int]:
        got = frames.Decoder().feed(flat(session.data_to_send()))
        return [len(f.body) for f in got if isinstance(f, Data)]

    def test_a_flood_waits_for_the_window(self) -> None:
        """What is ahead of an answer to a ping is bounded, however fast a cell prints."""
        session = opened()
        for _ in range(10_000):
            session.send(Message("line", {}, (bytes(100),)))
        first = self.sizes(session)
        assert START - first[0] < sum(first) <= START
        assert self.sizes(session) == []
        session.receive(frames.ack(len(first)), 0.0)
        assert sum(self.sizes(session)) == sum(first)

    def test_a_flood_does_not_hold_up_bulk_nor_the_other_way_round(self) -> None:
        session = opened()
        for bulk in (False, True):
            session.send(Message("big", {}, (bytes(1 << 20),)), bulk=bulk)
        got = frames.Decoder().feed(flat(session.data_to_send()))
        kinds = [f.type for f in got if isinstance(f, Data)]
        assert kinds == [Type.PART] * (START // PIECE) + [Type.BULK] * (START // PIECE)

    def test_what_was_under_way_at_a_cut_waits_for_the_window_as_well(self) -> None:
        """The next line may be slower than the last."""
        session = opened()
        for bulk in (False, True):
            session.send(Message("big", {}, (bytes(1 << 20),)), bulk=bulk)
        session.data_to_send()
        for at in (1.0, 2.0):
            session.begin(at)
            session.greeted(HELLO)
            assert sum(self.sizes(session)) <= 2 * START

    @pytest.mark.parametrize("size", [PIECE, 100 * KIB, 1 << 20])
    def test_a_large_message_is_whole(self, size: int) -> None:
        world = joined()
        world.left.send(size)
        world.left.send()
        world.left.send(size)
        world.settle()
        world.pass_time(1)
        world.settle()
        world.check()

    def test_a_message_within_another_is_refused(self) -> None:
        session = opened()
        session.receive(flat(frames.fragment(Type.PART, 1, 0, b"half", last=False)), 0.0)
        with pytest.raises(ProtocolError, match="before the end of the one before"):
            session.receive(message(2), 0.0)

    def test_a_message_over_the_limit_is_refused_at_both_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = opened()
        monkeypatch.setattr(outbox, "LARGEST", 100)
        for bulk in (False, True):
            with pytest.raises(ProtocolError, match="larger than the limit of 100"):
                session.send(Message("big", {}, (bytes(100),)), bulk=bulk)
        part = flat(frames.fragment(Type.PART, 1, 0, bytes(60), last=False))
        again = flat(frames.fragment(Type.PART, 2, 0, bytes(60), last=False))
        session.receive(part, 0.0)
        with pytest.raises(ProtocolError, match="more than 100 bytes"):
            session.receive(again, 0.0)

    def test_a_goodbye_comes_after_what_the_window_allows(self) -> None:
        world = joined()
        world.left.send()
        world.left.session.part("shutdown")
        world.left.send()
        got = read(world.left)
        assert [type(frame) for frame in got] == [Data, Data, Note]


class TestErrors:
    """What came before an error is delivered; then the link ends, and the session is sound."""

    GOOD = message(1) + message(2)

    @pytest.mark.parametrize(
        "bad",
        [
            b"\xff" * 9,
            message(2),
            message(7),
            frames.ack(9),
            frames.ping(Type.PONG, 0, 1.0),
            b"".join(frames.data(3, 0, [b"\x01\x00\x00\x00" + b"5" + bytes(4)])),
        ],
        ids=["garbage", "again", "gap", "ack", "pong", "no message"],
    )
    def test_what_came_before_is_delivered_first(self, bad: bytes) -> None:
        session = opened()
        events = session.receive(self.GOOD + bad, 0.0)
        assert [type(event) for event in events] == [Received, Received]
        assert session.received == 2 + bad.endswith(b"5" + bytes(4))
        for _ in range(2):
            with pytest.raises(ProtocolError) as caught:
                session.receive(b"", 0.0)
            assert "\n" not in str(caught.value)
        session.begin(1.0)
        session.greeted(HELLO)
        assert session.receive(message(session.received + 1), 1.0) == [Received(Message("m"))]

    def test_it_is_raised_also_when_nothing_came_before_but_acks(self) -> None:
        session = opened()
        with pytest.raises(ProtocolError):
            session.receive(frames.ack(0) + b"\xff" * 9, 0.0)

    def test_a_message_that_cannot_be_read_does_not_come_again_with_each_link(self) -> None:
        session = opened()
        with pytest.raises(ProtocolError, match="cannot be read"):
            session.receive(flat(frames.data(1, 0, [b"nonsense"])), 0.0)
        assert session.received == 1


def test_a_ping_is_answered_with_its_own_time() -> None:
    world = joined()
    world.right.session.receive(frames.ping(Type.PING, 0, 12.5), 99.0)
    assert read(world.right) == [Ack(Type.PONG, 0, 12.5)]


@given(st.lists(st.binary(max_size=60)))
def test_garbage_instead_of_a_greeting_is_never_anything_but_a_protocol_error(
    chunks: list[bytes],
) -> None:
    session = Session({})
    session.begin(0.0)
    with contextlib.suppress(ProtocolError):
        for chunk in chunks:
            session.receive(chunk, 0.0)


NUMBERS = st.integers(0, 3)
SOUND = st.one_of(
    st.builds(lambda n, r: message(n, r), NUMBERS, NUMBERS),
    st.builds(
        lambda k, n, r, b, e: flat(frames.fragment(k, n, r, b, last=e)),
        st.sampled_from([Type.BULK, Type.PART]),
        NUMBERS,
        NUMBERS,
        st.binary(),
        st.booleans(),
    ),
    st.builds(frames.ack, NUMBERS),
    st.builds(frames.ping, st.sampled_from([Type.PING, Type.PONG]), NUMBERS, st.floats()),
    st.builds(frames.note, st.sampled_from([Type.HELLO, Type.GOODBYE, Type.REFUSE]), st.just({})),
)


@given(
    st.lists(SOUND, min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), max_size=4),
    st.integers(1, 200),
)
def test_a_damaged_stream_is_read_or_refused_and_the_session_is_sound(
    chunks: list[bytes], flips: list[tuple[int, int]], step: int
) -> None:
    stream = bytearray(b"".join(chunks))
    for at, mask in flips:
        stream[at % len(stream)] ^= mask
    session = opened(heartbeat=1.0)
    session.send(Message("mine"))
    session.data_to_send()
    with contextlib.suppress(ProtocolError):
        for at in range(0, len(stream), step):
            session.receive(stream[at : at + step], 0.0)
        session.receive(b"", 0.0)
    # Whatever it was, the next link goes on, unless an end said that it forgot.
    session.begin(1.0)
    hello = {**HELLO, "received": session._acknowledged}
    assert session.greeted(hello) == Opened(hello)
    again = message(session.received + 1)
    if not session._fragments[Type.PART].parts:
        assert session.receive(again, 1.0) == [Received(Message("m"))]


@given(st.lists(SOUND))
def test_sound_frames_in_a_foolish_order_are_never_anything_but_a_protocol_error(
    chunks: list[bytes],
) -> None:
    session = opened()
    session.send(Message("m"))
    with contextlib.suppress(ProtocolError):
        for chunk in chunks:
            before = session.received
            session.receive(chunk, 0.0)
            assert session.received in {before, before + 1}
