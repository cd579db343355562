"""What survives links: who may say what and when, and what waits for what."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Ack, Data, Note, Type
from relay_kernel.wire.message import Message, encode
from relay_kernel.wire.session import (
    ACK_MESSAGES,
    ACK_SECONDS,
    BULK_AHEAD,
    BULK_CREDIT,
    BULK_FRAGMENT,
    MISSED,
    PROTOCOL,
    Opened,
    Parted,
    Received,
    Refused,
    Session,
    Silent,
)
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

    def test_a_duplicate_is_dropped(self) -> None:
        session = opened()
        assert len(session.receive(message(1), 0.0)) == 1
        assert session.receive(message(1), 0.0) == []
        assert len(session.receive(message(2), 0.0)) == 1

    def test_an_ack_of_what_was_never_sent_is_refused(self) -> None:
        session = opened()
        session.send(Message("one"))
        with pytest.raises(ProtocolError, match="acknowledges 2, but only 1"):
            session.receive(frames.ack(2), 0.0)

    def test_a_greeting_that_acknowledges_what_was_never_sent_is_refused(self) -> None:
        session = Session({})
        session.begin(0.0)
        with pytest.raises(ProtocolError, match="acknowledges 7, but only 0"):
            session.greeted({**HELLO, "received": 7})

    def test_an_old_ack_is_harmless(self) -> None:
        session = opened()
        for _ in range(3):
            session.send(Message("m"))
        session.receive(frames.ack(2), 0.0)
        session.receive(frames.ack(1), 0.0)
        assert session.backlog == 1

    def test_a_peer_that_lost_what_it_had_acknowledged_is_refused(self) -> None:
        """To go on would skip messages: the session cannot be resumed."""
        session = opened()
        for _ in range(3):
            session.send(Message("m"))
        session.receive(frames.ack(2), 0.0)
        session.begin(1.0)
        with pytest.raises(ProtocolError, match="has lost messages"):
            session.greeted({**HELLO, "received": 0})

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
        world = joined(Session({"session": "s"}, 1.0), Session({"session": "s"}))
        assert world.left.session.rtt is None
        world.pass_time(1.0)
        world.now += 0.25
        world.deliver(world.left, world.right)
        world.deliver(world.right, world.left)
        assert world.left.session.rtt == pytest.approx(0.25)
        assert world.right.session.rtt is None

    def test_without_a_heartbeat_nothing_wakes_an_idle_session(self) -> None:
        assert opened().next_deadline() is None


class TestBulk:
    @staticmethod
    def bulk_bytes(parts: Sequence[Part]) -> int:
        got = frames.Decoder().feed(flat(parts))
        return sum(f.body.nbytes for f in got if isinstance(f, Data) and not f.whole)

    def test_no_more_than_the_credit_is_under_way(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(1 << 20),)), bulk=True)
        assert self.bulk_bytes(session.data_to_send()) == BULK_CREDIT
        # Each acknowledged fragment makes room for one more.
        session.receive(frames.ack(2), 0.0)
        assert self.bulk_bytes(session.data_to_send()) == 2 * BULK_FRAGMENT
        assert session.data_to_send() == []

    def test_nor_after_a_cut(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(1 << 20),)), bulk=True)
        session.data_to_send()
        session.begin(1.0)
        session.data_to_send()
        session.greeted({**HELLO, "received": 1})
        assert self.bulk_bytes(session.data_to_send()) == BULK_CREDIT

    @pytest.mark.parametrize("size", [10, 20 * KIB, 40 * KIB, 200 * KIB])
    def test_chunks_of_any_size_pass_the_credit_by_less_than_a_fragment(self, size: int) -> None:
        session = opened()
        for _ in range(20):
            session.send(Message("chunk", {}, (bytes(size),)), bulk=True)
        assert self.bulk_bytes(session.data_to_send()) < BULK_CREDIT + BULK_FRAGMENT

    def test_a_small_message_overtakes_what_waits(self) -> None:
        world = joined()
        for _ in range(3):
            world.left.send(1 << 20, bulk=True)
        world.left.send(10)
        world.settle()
        assert world.right.order == ["urgent 0", "bulk 0", "bulk 1", "bulk 2"]

    def test_a_small_message_waits_for_no_more_than_the_credit(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(8 << 20),)), bulk=True)
        session.send(Message("stop"))
        got = frames.Decoder().feed(flat(session.data_to_send()))
        at = next(i for i, f in enumerate(got) if isinstance(f, Data) and f.whole)
        assert at == BULK_CREDIT // BULK_FRAGMENT

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
        lambda n, r, b: flat(frames.bulk(n, r, b, last=False)), NUMBERS, NUMBERS, st.binary()
    ),
    st.builds(frames.ack, NUMBERS),
    st.builds(frames.ping, st.sampled_from([Type.PING, Type.PONG]), NUMBERS, st.floats()),
    st.builds(frames.note, st.sampled_from([Type.HELLO, Type.GOODBYE, Type.REFUSE]), st.just({})),
)


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
