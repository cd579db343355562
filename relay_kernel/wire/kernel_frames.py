"""Jupyter's multipart messages, cut and joined without being read.

Layout on a ZeroMQ socket (Jupyter messaging protocol, "The wire protocol"): identities, the
delimiter, an HMAC signature, then header, parent header, metadata, content, and raw buffers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.wire.message import Part

DELIMITER = b"<IDS|MSG>"
#: Bytes from which on a part is passed on as it is, and not copied.
LARGE = 1 << 20


@dataclass(slots=True)
class KernelFrames:
    """One kernel message: ``body`` is header, parent header, metadata, content, buffers.

    The bytes stay as the sender made them; :attr:`header` and :attr:`parent` are read on demand.
    """

    channel: str
    ids: list[bytes]
    body: list[Part]
    signature: bytes = b""
    """As front ends check it; empty where they are to get one made anew."""
    _header: dict[str, Any] | None = field(default=None, repr=False)
    _parent: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def header(self) -> dict[str, Any]:
        """The header."""
        if self._header is None:
            self._header = _object(self.body[0])
        return self._header

    @property
    def parent(self) -> dict[str, Any]:
        """The parent header; empty for a message that answers nothing."""
        if self._parent is None:
            self._parent = _object(self.body[1])
        return self._parent

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata."""
        return _object(self.body[2])

    @property
    def content(self) -> dict[str, Any]:
        """The content."""
        return _object(self.body[3])

    @property
    def type(self) -> str:
        """The message type, such as ``execute_request``."""
        return str(self.header.get("msg_type", ""))

    @property
    def id(self) -> str:
        """The message id."""
        return str(self.header.get("msg_id", ""))

    @property
    def parent_id(self) -> str:
        """The id of the message that this one answers."""
        return str(self.parent.get("msg_id", ""))

    def with_metadata(self, metadata: dict[str, Any]) -> KernelFrames:
        """The same message with other metadata."""
        return self._with(2, _dump(metadata))

    def with_content(self, content: dict[str, Any]) -> KernelFrames:
        """The same message with other content."""
        return self._with(3, _dump(content))

    def on_subshell(self, subshell: str | None) -> KernelFrames:
        """The same message, addressed to another subshell; None: to the main shell."""
        return self._with(0, _dump({**self.header, "subshell_id": subshell}))

    def with_parent(self, header: Part) -> KernelFrames:
        """The same message with another parent header."""
        return self._with(1, header)

    def _with(self, at: int, part: Part) -> KernelFrames:
        """The same message with another part of its body, and so without its signature."""
        body = [*self.body[:at], part, *self.body[at + 1 :]]
        changed = KernelFrames(self.channel, self.ids, body)
        changed._header = None if at == 0 else self._header
        changed._parent = None if at == 1 else self._parent
        return changed


def split(channel: str, frames: Sequence[Part]) -> tuple[KernelFrames, bytes]:
    """Cut what came from a ZeroMQ socket into a message and its signature.

    Raises:
        ProtocolError: it is no kernel message.
    """
    try:
        at = list(frames).index(DELIMITER)
    except ValueError:
        raise ProtocolError(f"a message on {channel} has no delimiter") from None
    if len(frames) < at + 6:
        raise ProtocolError(f"a message on {channel} has only {len(frames)} frames")
    ids = [bytes(frame) for frame in frames[:at]]
    return KernelFrames(channel, ids, list(frames[at + 2 :])), bytes(frames[at + 1])


def join(message: KernelFrames, signature: bytes) -> list[Part]:
    """The frames to send on a ZeroMQ socket."""
    return [*message.ids, DELIMITER, signature, *message.body]


def pack(frames: KernelFrames, **head: Any) -> Message:
    """Wrap a kernel message for the session; ``head`` says more about it."""
    about = {"channel": frames.channel, "ids": len(frames.ids), **head}
    if frames.signature:
        about["signature"] = frames.signature.decode("ascii")
    return Message("frames", about, (*frames.ids, *frames.body))


def unpack(message: Message) -> KernelFrames:
    """Undo :func:`pack`.

    Raises:
        ProtocolError: it was not packed so.
    """
    count, channel = message.head.get("ids"), message.head.get("channel")
    # True is an int as well, and a negative count would cut from the end.
    if type(count) is not int or count < 0 or len(message.parts) < count + 4:
        raise ProtocolError(
            f"a kernel message has {len(message.parts)} parts, "
            f"which do not go with {json.dumps(count)[:20]} identities"
        )
    if not isinstance(channel, str):
        raise ProtocolError("a kernel message does not say its channel")
    ids = [bytes(part) for part in message.parts[:count]]
    body = [_held(part) for part in message.parts[count:]]
    signature = str(message.head.get("signature", "")).encode()
    return KernelFrames(channel, ids, body, signature)


def _held(part: Part) -> Part:
    """``part``, as a copy if it is small: it may be a view into much more."""
    return part if isinstance(part, bytes) or len(part) >= LARGE else bytes(part)


def _object(data: Part) -> dict[str, Any]:
    try:
        # As Jupyter packs it: a file name, say, may hold bytes that are not UTF-8.
        value = json.loads(str(data, "utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a kernel message is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError("a kernel message holds no JSON object where one belongs")
    return value


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogateescape"
    )
