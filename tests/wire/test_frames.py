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
        *frames.bulk(3, 4, b"xyz", last=False),
        *frames.bulk(4, 4, memoryview(b""), last=True),
        frames.ack(5),
        frames.ping(Type.PING, 6, 1.5),
        frames.ping(Type.PONG, 7, 2.5),
    )
)
READ: list[Frame] = [
    Note(Type.HELLO, {"session": "ä", "received": 0}),
    Note(Type.REFUSE, {"why": "no"}),
    Note(Type.GOODBYE, {}),
    Data(1, 2, memoryview(b"abcde"), whole=True, last=True),
    Data(2, 0, memoryview(b""), whole=True, last=True),
    Data(3, 4, memoryview(b"xyz"), whole=False, last=False),
    Data(4, 4, memoryview(b""), whole=False, last=True),
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


@pytest.mark.parametrize("kind", [0, 9, 255])
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


@given(st.lists(st.binary()))
def test_garbage_is_never_anything_but_a_protocol_error(chunks: list[bytes]) -> None:
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for chunk in chunks:
            decoder.feed(chunk)


@given(st.lists(st.tuples(st.integers(0, 10), st.binary(max_size=40))))
def test_garbage_in_sound_frames_is_never_anything_but_a_protocol_error(
    bodies: list[tuple[int, bytes]],
) -> None:
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for kind, body in bodies:
            decoder.feed(head(len(body), kind) + body)
