"""Frames: what stands on a link. ``u32 length | u8 type | body``, little-endian.

| type | body |
|---|---|
| HELLO, REFUSE, GOODBYE | a JSON object |
| DATA | ``u64 number, u64 received``, one whole message |
| BULK | ``u64 number, u64 received, u8 last``, a fragment of a message |
| ACK | ``u64 received`` |
| PING, PONG | ``u64 received, f64 time``; a PONG carries the time of its PING |
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from relay_kernel.wire.errors import ProtocolError

if TYPE_CHECKING:
    from relay_kernel.wire.message import Part

#: Bytes in the largest frame that is accepted. The largest display data must fit; a hostile or
#: garbled length must not make us allocate without bound.
LARGEST = 1 << 31

_HEAD = struct.Struct("<IB")
_DATA = struct.Struct("<QQ")
_BULK = struct.Struct("<QQB")
_ACK = struct.Struct("<Q")
_PING = struct.Struct("<Qd")


class Type(IntEnum):
    """The type byte of a frame."""

    HELLO = 1
    REFUSE = 2
    GOODBYE = 3
    DATA = 4
    BULK = 5
    ACK = 6
    PING = 7
    PONG = 8


@dataclass(frozen=True, slots=True)
class Note:
    """A HELLO, REFUSE or GOODBYE."""

    type: Type
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Data:
    """A numbered frame: a whole message, or a fragment of one (``whole`` is False)."""

    number: int
    received: int
    body: memoryview
    whole: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to ``received`` has arrived. A PING or PONG says so too, with a time."""

    type: Type
    received: int
    time: float = 0.0


Frame = Note | Data | Ack


def note(kind: Type, fields: dict[str, Any]) -> bytes:
    """Encode a HELLO, REFUSE or GOODBYE."""
    body = json.dumps(fields, separators=(",", ":")).encode()
    return _HEAD.pack(len(body), kind) + body


def data(number: int, received: int, message: list[Part]) -> list[Part]:
    """Encode a whole numbered message, without copying its parts."""
    size = _DATA.size + sum(memoryview(part).nbytes for part in message)
    if size > LARGEST:
        raise ProtocolError(f"a message of {size} bytes is larger than the limit of {LARGEST}")
    return [_HEAD.pack(size, Type.DATA) + _DATA.pack(number, received), *message]


def bulk(number: int, received: int, fragment: Part, *, last: bool) -> list[Part]:
    """Encode a numbered fragment of a message."""
    size = _BULK.size + memoryview(fragment).nbytes
    return [_HEAD.pack(size, Type.BULK) + _BULK.pack(number, received, last), fragment]


def ack(received: int) -> bytes:
    """Encode an ACK."""
    return _HEAD.pack(_ACK.size, Type.ACK) + _ACK.pack(received)


def ping(kind: Type, received: int, time: float) -> bytes:
    """Encode a PING or a PONG."""
    return _HEAD.pack(_PING.size, kind) + _PING.pack(received, time)


class Decoder:
    """Cuts a byte stream into frames. Spent once it has raised."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._buffer = bytearray()

    def feed(self, data: Part) -> list[Frame]:
        """Take in bytes; return the frames they complete.

        Raises:
            ProtocolError: an unknown type, a length over the limit, or a body that cannot be read.
        """
        self._buffer += data
        buffer = self._buffer
        frames: list[Frame] = []
        at = 0
        while len(buffer) - at >= _HEAD.size:
            size, kind = _HEAD.unpack_from(buffer, at)
            if size > self._largest:
                raise ProtocolError(f"a frame says it has {size} bytes, over {self._largest}")
            end = at + _HEAD.size + size
            if len(buffer) < end:
                break
            frames.append(_parse(kind, bytes(buffer[at + _HEAD.size : end])))
            at = end
        if at:
            del buffer[:at]
        return frames

    @property
    def rest(self) -> bytes:
        """What has come of the next frame."""
        return bytes(self._buffer)


def _parse(kind: int, body: bytes) -> Frame:
    try:
        match kind:
            case Type.DATA:
                number, received = _DATA.unpack_from(body)
                return Data(number, received, memoryview(body)[_DATA.size :], whole=True, last=True)
            case Type.BULK:
                number, received, last = _BULK.unpack_from(body)
                view = memoryview(body)[_BULK.size :]
                return Data(number, received, view, whole=False, last=bool(last))
            case Type.ACK:
                return Ack(Type.ACK, *_ACK.unpack(body))
            case Type.PING | Type.PONG:
                return Ack(Type(kind), *_PING.unpack(body))
            case Type.HELLO | Type.REFUSE | Type.GOODBYE:
                fields = json.loads(body)
                if isinstance(fields, dict):
                    return Note(Type(kind), fields)
    except (struct.error, ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame of type {kind} cannot be read: {error}") from None
    raise ProtocolError(f"a frame of unknown type {kind}")
