"""A byte stream is cut into the frames that were put on it, wherever the network cut it."""

from __future__ import annotations

import contextlib
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Ack, Data, Decoder, Frame, Note, Type

ONE_OF_EACH = b"".join(
    (
        frames.note(Type.HELLO, {"session": "ä", "received": 0}),
        frames.note(Type.REFUSE, {"why": "no"}),
        frames.note(Type.GOODBYE, {}),
        *frames.data(1, 2, [b"ab", memoryview(b"cd"), bytearray(b"e")]),
        *frames.data(2, 0, []),
        *frames.fragment(Type.BULK, 3, 4, b"xyz", last=False),
        *frames.fragment(Type.PART, 4, 4, memoryview(b""), last=True),
        frames.ack(5),
        frames.ping(Type.PING, 6, 1.5),
        frames.ping(Type.PONG, 7, 2.5),
    )
)
READ: list[Frame] = [
    Note(Type.HELLO, {"session": "ä", "received": 0}),
    Note(Type.REFUSE, {"why": "no"}),
    Note(Type.GOODBYE, {}),
    Data(Type.DATA, 1, 2, memoryview(b"abcde"), last=True),
    Data(Type.DATA, 2, 0, memoryview(b""), last=True),
    Data(Type.BULK, 3, 4, memoryview(b"xyz"), last=False),
    Data(Type.PART, 4, 4, memoryview(b""), last=True),
    Ack(Type.ACK, 5),
    Ack(Type.PING, 6, 1.5),
    Ack(Type.PONG, 7, 2.5),
]


def head(size: int, kind: int) -> bytes:
    return struct.pack("<IB", size, kind)


def test_every_frame_comes_out_as_it_went_in() -> None:
    assert Decoder().feed(ONE_OF_EACH) == READ


def test_byte_by_byte_the_same_frames_come_out() -> None:
    decoder = Decoder()
    got = [frame for byte in ONE_OF_EACH for frame in decoder.feed(bytes([byte]))]
    assert got == READ
    assert decoder.rest == b""


@given(st.lists(st.integers(0, len(ONE_OF_EACH))))
def test_cut_anywhere_the_same_frames_come_out(cuts: list[int]) -> None:
    decoder = Decoder()
    edges = [0, *sorted(cuts), len(ONE_OF_EACH)]
    got: list[Frame] = []
    for begin, end in itertools.pairwise(edges):
        got += decoder.feed(ONE_OF_EACH[begin:end])
    assert got == READ


def test_a_frame_is_not_changed_by_what_follows_it() -> None:
    decoder = Decoder()
    (first,) = decoder.feed(b"".join(frames.data(1, 0, [b"first"])))
    decoder.feed(b"".join(frames.data(2, 0, [b"other"])))
    assert isinstance(first, Data)
    assert bytes(first.body) == b"first"


def test_what_has_come_of_the_next_frame_is_kept() -> None:
    decoder = Decoder()
    ack = frames.ack(1)
    decoder.feed(ack + ack[:7])
    assert decoder.rest == ack[:7]


def test_a_frame_over_the_limit_is_refused_by_its_length_alone() -> None:
    """A garbled length must not make us collect 2 GiB first."""
    with pytest.raises(ProtocolError, match="65537 bytes, over 65536"):
        Decoder(largest=1 << 16).feed(head((1 << 16) + 1, Type.DATA))
    with pytest.raises(ProtocolError):
        Decoder().feed(head(frames.LARGEST + 1, Type.DATA))


def test_a_frame_at_the_limit_is_taken() -> None:
    (got,) = Decoder(largest=20).feed(b"".join(frames.data(1, 0, [b"1234"])))
    assert isinstance(got, Data)


def test_a_message_over_the_limit_is_refused_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "LARGEST", 100)
    with pytest.raises(ProtocolError, match="larger than the limit"):
        frames.data(1, 0, [bytes(60), bytes(60)])


@pytest.mark.parametrize("kind", [0, 10, 255])
def test_an_unknown_type_is_refused(kind: int) -> None:
    with pytest.raises(ProtocolError, match=f"unknown type {kind}"):
        Decoder().feed(head(0, kind))


@pytest.mark.parametrize("kind", list(Type))
def test_a_frame_whose_body_is_too_short_for_its_type_is_refused(kind: Type) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(head(1, kind) + b"x")


@pytest.mark.parametrize("kind", [Type.ACK, Type.PING, Type.PONG])
def test_a_frame_whose_body_is_too_long_for_its_type_is_refused(kind: Type) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(head(17, kind) + bytes(17))


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b'"\xff"', b"[" * 50_000, b"9" * 5000])
def test_a_note_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(head(len(body), Type.HELLO) + body)


@pytest.mark.parametrize(
    "said",
    [
        b"Last login: Tue Nov 24 from 192.0.2.7\r\n",
        "Grüße vom PC\n".encode(),
        b"motd\n",
        b"\nHello",
    ],
)
def test_text_of_a_login_script_is_named_as_such(said: bytes) -> None:
    """A shell on the PC that greets its user is the likeliest reason: say so at once."""
    line = said.decode().strip()[:5]
    with pytest.raises(ProtocolError, match="login script") as caught:
        Decoder().feed(said)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        head(3, 0),
        head(3, 10),
        head(frames.LARGEST + 1, Type.DATA),
        head(frames.LARGEST_NOTE + 1, Type.HELLO),
        head(9, Type.ACK),
        head(7, Type.ACK),
        head(1000, Type.PING),
        head(15, Type.DATA),
        head(16, Type.BULK),
        head(0, Type.HELLO),
    ],
)
def test_what_cannot_be_a_frame_is_refused_by_its_head(wrong: bytes) -> None:
    """Not when its body has come, which may be never: until then the link would seem silent."""
    decoder = Decoder()
    for byte in wrong[:-1]:
        decoder.feed(bytes([byte]))
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(wrong[-1:])
    assert "\n" not in str(caught.value)


def test_frames_before_an_error_are_returned_first() -> None:
    decoder = Decoder()
    assert decoder.feed(ONE_OF_EACH + b"\xff" * 5) == READ
    assert decoder.error is not None
    for _ in range(2):
        with pytest.raises(ProtocolError, match="bytes, over"):
            decoder.feed(b"")


def test_a_fragment_with_an_unknown_mark_is_refused() -> None:
    wrong = bytearray(b"".join(frames.fragment(Type.PART, 1, 0, b"x", last=True)))
    wrong[5 + 16] = 2
    with pytest.raises(ProtocolError, match="only 0 and 1"):
        Decoder().feed(wrong)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["flip", "drop", "insert", "repeat"]),
            st.integers(0, len(ONE_OF_EACH) - 1),
            st.binary(min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 64),
)
def test_a_damaged_stream_is_read_or_refused(
    damages: list[tuple[str, int, bytes]], step: int
) -> None:
    stream = bytearray(ONE_OF_EACH * 3)
    for how, at, some in damages:
        if how == "flip":
            stream[at] ^= some[0] or 1
        elif how == "drop":
            del stream[at : at + len(some)]
        elif how == "insert":
            stream[at:at] = some
        else:
            stream[at:at] = stream[at : at + 8 * len(some)]
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for at in range(0, len(stream), step):
            decoder.feed(stream[at : at + step])
            # What has been refused is not collected any further.
            assert len(decoder.rest) <= frames.LARGEST


@given(st.lists(st.binary()))
def test_garbage_is_never_anything_but_a_protocol_error(chunks: list[bytes]) -> None:
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for chunk in chunks:
            decoder.feed(chunk)


@given(st.lists(st.tuples(st.integers(0, 11), st.binary(max_size=40))))
def test_garbage_in_sound_frames_is_never_anything_but_a_protocol_error(
    bodies: list[tuple[int, bytes]],
) -> None:
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for kind, body in bodies:
            decoder.feed(head(len(body), kind) + body)
