"""Messages come out as they went in, and what is no message is said to be none."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message, decode, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
MESSAGES = st.builds(
    Message,
    st.text(),
    st.dictionaries(st.text(), JSON, max_size=4),
    st.lists(st.binary(), max_size=5).map(tuple),
)


def flat(message: Message) -> bytes:
    return b"".join(encode(message))


@given(MESSAGES)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    assert decode(memoryview(flat(message))) == message


def test_parts_are_not_copied_on_their_way_out() -> None:
    part = memoryview(bytearray(1000))
    assert encode(Message("chunk", {}, (part,)))[1] is part


def test_parts_of_wider_items_are_measured_in_bytes() -> None:
    floats: Any = memoryview(struct.pack("<3d", 1.0, 2.0, 3.0)).cast("d")
    got = decode(memoryview(flat(Message("chunk", {}, (floats,)))))
    assert got.parts == (struct.pack("<3d", 1.0, 2.0, 3.0),)


def test_a_large_part_is_small_on_the_line() -> None:
    message = Message("frames", {}, (b"plain", b"print('hello')\n" * 10_000, b"tail"))
    packed = flat(message)
    assert len(packed) < 2000
    assert decode(memoryview(packed)) == message


@pytest.mark.parametrize("kind", ["frames", "chunk"])
def test_what_compression_does_not_make_smaller_goes_as_it_is(kind: str) -> None:
    """Random numbers; and chunks, which were compressed before, where that pays."""
    part = random.Random(1).randbytes(100_000) if kind == "frames" else bytes(100_000)
    packed = flat(Message(kind, {}, (part,)))
    assert part in packed


def test_a_part_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = flat(Message("frames", {}, (bytes(60_000), bytes(60_000))))
    monkeypatch.setattr("relay_kernel.wire.message.LARGEST", 100_000)
    with pytest.raises(ProtocolError, match="more than 100000 bytes"):
        decode(memoryview(packed))


@pytest.mark.parametrize("spoil", ["content", "size"])
def test_a_compressed_part_that_is_damaged_is_refused(spoil: str) -> None:
    packed = bytearray(flat(Message("frames", {}, (bytes(60_000),))))
    if spoil == "content":
        packed[-5:] = b"\xff" * 5
    else:
        at = packed.index(b"\x28\xb5\x2f\xfd")
        packed[at : at + 4] = b"none"
    with pytest.raises(ProtocolError, match="compressed content"):
        decode(memoryview(packed))


def test_what_was_received_does_not_hold_on_to_the_buffer_it_came_in() -> None:
    buffer = bytearray(flat(Message("chunk", {}, (b"abc",))))
    got = decode(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert got.parts == (b"abc",)


@given(MESSAGES, st.data())
def test_a_truncated_message_is_refused(message: Message, data: st.DataObject) -> None:
    whole = flat(message)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ProtocolError):
        decode(memoryview(whole)[:length])


@given(MESSAGES, st.binary(min_size=1))
def test_a_message_with_something_behind_it_is_refused(message: Message, more: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(memoryview(flat(message) + more))


@pytest.mark.parametrize(
    "head",
    [[1, {}], ["frames", []], ["frames"], ["frames", {}, 0], {"a": 1, "b": 2}, 5, None, "ab"],
    ids=["kind", "head", "short", "long", "object", "number", "null", "text"],
)
def test_a_head_that_is_none_is_refused(head: object) -> None:
    text = json.dumps(head).encode()
    body = struct.pack("<I", len(text)) + text + struct.pack("<I", 0)
    with pytest.raises(ProtocolError):
        decode(memoryview(body))


def test_a_count_of_parts_beyond_all_reason_is_refused_without_making_room_for_them() -> None:
    text = b'["chunk",{}]'
    body = struct.pack("<I", len(text)) + text + struct.pack("<I", 0xFFFFFFFF)
    with pytest.raises(ProtocolError):
        decode(memoryview(body))


def test_a_head_nested_without_end_is_refused() -> None:
    text = b"[" * 100_000
    with pytest.raises(ProtocolError):
        decode(memoryview(struct.pack("<I", len(text)) + text))
