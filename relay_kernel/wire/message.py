"""The unit that R and an agent exchange: a kind, a JSON head, and raw parts."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from relay_kernel.wire.errors import ProtocolError

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
    """Encode as ``u32 head length | head | u32 count | u32 lengths… | parts…``, little-endian."""
    head = _encode([message.kind, message.head]).encode()
    sizes = [_nbytes(part) for part in message.parts]
    prefix = b"".join(
        (
            _U32.pack(len(head)),
            head,
            _U32.pack(len(sizes)),
            *(_U32.pack(size) for size in sizes),
        )
    )
    return [prefix, *message.parts]


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
    if at + sum(sizes) != len(body):
        raise ProtocolError("a message is not as long as it says")
    parts = []
    for size in sizes:
        parts.append(bytes(body[at : at + size]))
        at += size
    return Message(kind, head, tuple(parts))


def _nbytes(part: Part) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
