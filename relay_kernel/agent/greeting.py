"""The first thing that a peer says: it is read before it is known which session it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Decoder, Note, Type

if TYPE_CHECKING:
    from relay_kernel.link.stream import Stream


async def read_greeting(stream: Stream) -> dict[str, Any]:
    """The fields of the peer's HELLO.

    Raises:
        ProtocolError: something else came, or nothing.
    """
    decoder = Decoder(largest=1 << 16)
    while data := await stream.read():
        for frame in decoder.feed(data):
            if isinstance(frame, Note) and frame.type is Type.HELLO:
                return frame.fields
            raise ProtocolError("the peer sent something else before its greeting")
    raise ProtocolError("the link was cut before a greeting")
