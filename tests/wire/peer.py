"""The other end of a session, played by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay_kernel.wire import frames
from relay_kernel.wire.message import Message, encode
from relay_kernel.wire.session import (
    PROTOCOL,
    Session,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.wire.message import Part

HELLO = {"protocol": PROTOCOL, "session": "s", "received": 0}
KIB = 1 << 10


def flat(parts: Sequence[Part]) -> bytes:
    return b"".join(parts)


def message(number: int, received: int = 0, kind: str = "m") -> bytes:
    return flat(frames.data(number, received, encode(Message(kind))))


def opened(heartbeat: float | None = None, **fields: Any) -> Session:
    """A session whose peer, played by the test, has greeted."""
    session = Session({"session": "s"}, heartbeat)
    session.begin(0.0)
    session.greeted({**HELLO, **fields})
    session.data_to_send()
    return session
