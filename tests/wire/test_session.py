"""What survives links: who may say what and when."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Ack, Data, Note, Type
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import (
    ACK_MESSAGES,
    ACK_SECONDS,
    PROTOCOL,
    Forgot,
    Opened,
    Parted,
    Received,
    Refused,
    Session,
)
from tests.wire.peer import HELLO, flat, message, opened
from tests.wire.world import Joined, joined, read


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
