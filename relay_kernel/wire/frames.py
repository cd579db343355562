"""Frames: what stands on a link. ``u32 length | u8 type | body``, little-endian.

| type | body |
|---|---|
| HELLO, REFUSE, GOODBYE | a JSON object |
| DATA | ``u64 number, u64 received``, one whole message |
| PART, BULK | ``u64 number, u64 received, u8 last``, a fragment of a message |
| ACK | ``u64 received`` |
| PING, PONG | ``u64 received, f64 time``; a PONG carries the time of its PING |

A message of the ordinary class that is too large for one frame travels as PARTs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from relay_kernel.wire import notes
from relay_kernel.wire.errors import ProtocolError

if TYPE_CHECKING:
    from relay_kernel.wire.message import Part

#: Bytes in the body of the largest frame. Messages are cut into far smaller ones; a hostile or
#: garbled length must not make us collect without bound.
LARGEST = 1 << 20
#: The same for notes, which may come before anything is known of the peer.
LARGEST_NOTE = 64 << 10

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
    PART = 9


#: The smallest and the largest body of each type.
_SIZES = {
    **dict.fromkeys((Type.HELLO, Type.REFUSE, Type.GOODBYE), (2, LARGEST_NOTE)),
    Type.DATA: (_DATA.size, LARGEST),
    **dict.fromkeys((Type.BULK, Type.PART), (_BULK.size, LARGEST)),
    Type.ACK: (_ACK.size, _ACK.size),
    **dict.fromkeys((Type.PING, Type.PONG), (_PING.size, _PING.size)),
}


@dataclass(frozen=True, slots=True)
class Note:
    """A HELLO, REFUSE or GOODBYE."""

    type: Type
    fields: dict[str, Any]


@dataclass(slots=True)
class Data:
    """A numbered frame: a whole message (DATA), or a fragment of one (PART, BULK)."""

    type: Type
    number: int
    received: int
    body: memoryview
    last: bool

    @property
    def whole(self) -> bool:
        """Whether this is a message, not a fragment."""
        return self.type is Type.DATA


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to ``received`` has arrived. A PING or PONG says so too, with a time."""

    type: Type
    received: int
    time: float = 0.0


Frame = Note | Data | Ack


def note(kind: Type, fields: dict[str, Any]) -> bytes:
    """Encode a HELLO, REFUSE or GOODBYE."""
    body = notes.dump(fields)
    return _HEAD.pack(len(body), kind) + body


def data(number: int, received: int, message: list[Part]) -> list[Part]:
    """Encode a whole numbered message, without copying its parts.

    Raises:
        ProtocolError: no peer would take so large a frame.
    """
    size = _DATA.size + sum(memoryview(part).nbytes for part in message)
    if size > LARGEST:
        raise ProtocolError(f"a frame of {size} bytes is larger than the limit of {LARGEST}")
    return [_HEAD.pack(size, Type.DATA) + _DATA.pack(number, received), *message]


def fragment(kind: Type, number: int, received: int, body: Part, *, last: bool) -> list[Part]:
    """Encode a numbered fragment of a message: a PART or a BULK."""
    size = _BULK.size + len(body)
    return [_HEAD.pack(size, kind) + _BULK.pack(number, received, last), body]


def ack(received: int) -> bytes:
    """Encode an ACK."""
    return _HEAD.pack(_ACK.size, Type.ACK) + _ACK.pack(received)


def ping(kind: Type, received: int, time: float) -> bytes:
    """Encode a PING or a PONG."""
    return _HEAD.pack(_PING.size, kind) + _PING.pack(received, time)


class Decoder:
    """Cuts a byte stream into frames. Spent once it has raised.

    What cannot be a frame is refused as soon as its first five bytes are there.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._buffer = bytearray()
        self.error: ProtocolError | None = None
        """What ended it, while :meth:`feed` has yet to raise it."""

    def feed(self, data: Part) -> list[Frame]:
        """Take in bytes; return the frames they complete.

        Raises:
            ProtocolError: an unknown type, a length that no frame of this type has, or a body that
                cannot be read. Frames that stood before it are returned first; the error is then
                in :attr:`error`, and is raised by the next call.
        """
        if self.error:
            raise self.error
        self._buffer += data
        frames: list[Frame] = []
        at = 0
        try:
            while end := self._end(at):
                with memoryview(self._buffer) as view:
                    body = bytes(view[at + _HEAD.size : end])
                frames.append(_parse(self._buffer[at + 4], body))
                at = end
        except ProtocolError as error:
            self.error = error
            if not frames:
                raise
        if at:
            del self._buffer[:at]
        return frames

    @property
    def rest(self) -> bytes:
        """What has come of the next frame."""
        return bytes(self._buffer)

    def _end(self, at: int) -> int:
        """Where the frame that begins ``at`` ends, or 0 if it has not come yet."""
        buffer = self._buffer
        if len(buffer) - at < _HEAD.size:
            return 0
        size, kind = _HEAD.unpack_from(buffer, at)
        smallest, largest = _SIZES.get(kind, (1, 0))
        if not smallest <= size <= min(largest, self._largest):
            raise ProtocolError(_complaint(bytes(buffer[at : at + 80]), size, kind, self._largest))
        end: int = at + _HEAD.size + size
        return end if len(buffer) >= end else 0


def _complaint(start: bytes, size: int, kind: int, largest: int) -> str:
    """One line on what stands where a frame belongs."""
    lines = start.strip().splitlines()
    text = lines[0].decode("utf-8", "replace").strip() if lines else ""
    if len(text) >= 4 and text.isprintable() and "\ufffd" not in text[:-1]:
        return f"text came where a frame belongs: {text!r}; does a login script there print it?"
    if size > largest:
        return f"a frame says it has {size} bytes, over {largest}"
    if kind not in _SIZES:
        return f"a frame of unknown type {kind}"
    name = Type(kind).name
    return f"a {name} of {size} bytes, where {_SIZES[Type(kind)]} are the bounds"


def _parse(kind: int, body: bytes) -> Frame:
    """Read a body whose size fits its type."""
    if kind == Type.DATA:
        number, received = _DATA.unpack_from(body)
        return Data(Type.DATA, number, received, memoryview(body)[_DATA.size :], last=True)
    if kind in (Type.BULK, Type.PART):
        number, received, last = _BULK.unpack_from(body)
        if last > 1:
            raise ProtocolError(f"a fragment says {last} where only 0 and 1 have a meaning")
        view = memoryview(body)[_BULK.size :]
        return Data(Type(kind), number, received, view, last=bool(last))
    if kind == Type.ACK:
        return Ack(Type.ACK, *_ACK.unpack(body))
    if kind in (Type.PING, Type.PONG):
        return Ack(Type(kind), *_PING.unpack(body))
    return Note(Type(kind), notes.load(Type(kind).name, body))
