"""The unit that R and an agent exchange: a kind, a JSON head, and raw parts."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from relay_kernel.wire.compression import expand, plain_size, squeeze
from relay_kernel.wire.errors import ProtocolError

#: Bytes in a message, plain too. Lengths within it have 31 bits; and it must fit into memory.
LARGEST = 1 << 31
#: Bytes from which on a part is compressed where that pays; most messages are far below.
_WORTH = 4 << 10
#: In the length of a part: it is compressed.
_SQUEEZED = 1 << 31
#: What is compressed, each piece by itself, before it becomes a message.
_READY = "chunk"
_U32 = struct.Struct("<I")
# Made once: json.dumps would make one for each message.
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


Part = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Message:
    """One order (R to agent) or report (agent to R).

    ``parts`` hold what is bytes already, such as the frames of a kernel message: they are never
    copied into JSON.
    """

    kind: str
    head: dict[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()


def encode(message: Message) -> list[Part]:
    """Encode as ``u32 head length | head | u32 count | u32 lengths… | parts…``, little-endian.

    The highest bit of a length says that the part is compressed.
    """
    head = _encode([message.kind, message.head]).encode()
    parts, sizes = [], []
    for part in message.parts:
        size = _nbytes(part)
        small = squeeze(part) if size >= _WORTH and message.kind != _READY else None
        parts.append(part if small is None else small)
        sizes.append(size if small is None else len(small) | _SQUEEZED)
    prefix = b"".join(
        (
            _U32.pack(len(head)),
            head,
            _U32.pack(len(sizes)),
            *(_U32.pack(size) for size in sizes),
        )
    )
    return [prefix, *parts]


def decode(body: memoryview) -> Message:
    """Decode one whole message; its parts are copies.

    Raises:
        ProtocolError: lengths do not add up, or the head is not what :func:`encode` makes.
    """
    try:
        head_end = 4 + _U32.unpack_from(body)[0]
        about = _decode(str(body[4:head_end], "utf-8"))
        count = _U32.unpack_from(body, head_end)[0]
        at = head_end + 4 + 4 * count
        if at > len(body):
            raise ProtocolError("a message is shorter than it says")
        sizes = struct.unpack_from(f"<{count}I", body, head_end + 4)
    except (struct.error, ValueError, RecursionError) as error:
        raise ProtocolError(f"a message cannot be read: {error}") from None
    match about:
        case [str(kind), dict(head)]:
            pass
        case _:
            raise ProtocolError("a message does not begin with its kind and what it says")
    if at + sum(size & ~_SQUEEZED for size in sizes) != len(body):
        raise ProtocolError("a message is not as long as it says")
    parts = []
    left = LARGEST
    for size in sizes:
        end = at + (size & ~_SQUEEZED)
        part = bytes(body[at:end])
        if size & _SQUEEZED:
            plain = plain_size(part)
            if plain > left:
                raise ProtocolError(f"a message has more than {LARGEST} bytes, decompressed")
            part = expand(part, plain)
        left -= len(part)
        parts.append(part)
        at = end
    return Message(kind, head, tuple(parts))


def _nbytes(part: Part) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
