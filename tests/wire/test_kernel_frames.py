"""Kernel messages pass through as they are; what is none is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import Session

from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.kernel_frames import DELIMITER, KernelFrames, join, pack, split, unpack
from relay_kernel.wire.message import Message, decode, encode

SESSION = Session(key=b"secret")


def request(code: str = "1", buffers: tuple[bytes, ...] = ()) -> list[bytes]:
    """An execute_request as a front end puts it on a socket."""
    message = SESSION.msg("execute_request", {"code": code}, parent=None, metadata={"a": 1})
    return [*SESSION.serialize(message, ident=[b"one", b"two"]), *buffers]


def test_a_real_message_is_cut_and_joined_byte_for_byte() -> None:
    frames = request("print('ä')", (b"buffer", b""))
    message, signature = split("shell", frames)
    assert message.ids == [b"one", b"two"]
    assert join(message, signature) == frames


def test_a_real_message_can_be_read() -> None:
    message, signature = split("shell", request("print('ä')"))
    assert (message.channel, message.type) == ("shell", "execute_request")
    assert message.id == message.header["msg_id"] != ""
    assert (message.parent, message.parent_id) == ({}, "")
    assert message.metadata == {"a": 1}
    assert message.content == {"code": "print('ä')"}
    assert signature == SESSION.sign(message.body[:4])


def test_the_parent_of_an_answer_is_found() -> None:
    asked = SESSION.msg("execute_request")
    reply = SESSION.msg("execute_reply", {}, parent=asked["header"])
    message, _ = split("shell", SESSION.serialize(reply))
    assert message.parent_id == asked["header"]["msg_id"]


def test_changing_metadata_or_content_leaves_the_rest_byte_for_byte() -> None:
    message, _ = split("shell", request("1", (b"buffer",)))
    other = message.with_metadata({"relay": {"target": "pc"}})
    assert other.metadata == {"relay": {"target": "pc"}}
    assert [other.body[i] for i in (0, 1, 3, 4)] == [message.body[i] for i in (0, 1, 3, 4)]
    third = message.with_content({"text": "ä"})
    assert third.content == {"text": "ä"}
    assert [third.body[i] for i in (0, 1, 2, 4)] == [message.body[i] for i in (0, 1, 2, 4)]
    assert third.ids == message.ids
    assert message.content == {"code": "1"}


def test_an_identity_that_looks_like_json_or_is_not_text_passes() -> None:
    frames = [b"\x00\xff", b"{}", *request()[2:]]
    message, signature = split("shell", frames)
    assert message.ids == [b"\x00\xff", b"{}"]
    assert join(message, signature) == frames


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"one"],
        [DELIMITER],
        [DELIMITER, b"", b"{}", b"{}", b"{}"],
        [b"one", b"two", b"three", b"four", DELIMITER, b"", b"{}"],
    ],
    ids=["nothing", "no delimiter", "only that", "no content", "many ids"],
)
def test_what_is_no_kernel_message_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError, match="shell"):
        split("shell", frames)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b"null"])
@pytest.mark.parametrize("part", ["header", "parent", "metadata", "content"])
def test_a_part_that_is_no_json_object_is_refused_when_it_is_read(part: str, data: bytes) -> None:
    message = KernelFrames("iopub", [], [data] * 4)
    with pytest.raises(ProtocolError):
        getattr(message, part)


FRAMES = st.builds(
    KernelFrames,
    st.sampled_from(["shell", "control", "stdin", "iopub"]),
    st.lists(st.binary(), max_size=3),
    st.lists(st.binary(), min_size=4, max_size=7),
)


@given(FRAMES)
def test_packed_for_the_session_it_comes_out_as_it_went_in(message: KernelFrames) -> None:
    order = pack(message, cell=3, epoch=2)
    arrived = decode(memoryview(b"".join(encode(order))))
    assert (arrived.head["cell"], arrived.head["epoch"]) == (3, 2)
    got = unpack(arrived)
    assert (got.channel, got.ids, got.body) == (message.channel, message.ids, message.body)


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        ({}, 4),
        ({"ids": "1"}, 8),
        ({"ids": 0}, 3),
        ({"ids": 2}, 5),
        ({"ids": -1}, 8),
        ({"ids": True}, 8),
        ({"ids": 1 << 70}, 8),
    ],
    ids=["no count", "no number", "three parts", "no body", "negative", "true", "huge"],
)
def test_what_was_not_packed_so_is_refused(head: dict[str, Any], parts: int) -> None:
    with pytest.raises(ProtocolError, match="do not go with"):
        unpack(Message("frames", head, (json.dumps({}).encode(),) * parts))
