"""States that follow one another on a session: each travels as what differs from the one before.

A manifest names all that there is, and most cells change a little of it. A session delivers once
and in order, so the state before is the same at both ends; digests say so, and an end that has
another one all the same, because it could not read a message, asks for the last one whole.

The text of a state is the head of its message as JSON, a line break, and its only part. It is cut
at the commas, whatever they mean; what comes again is named by its place in the text before.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from relay_kernel.wire.compression import expand, plain_size, squeeze
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import LARGEST, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The messages that hold a state.
KINDS = frozenset({"apply", "captured"})
#: Asks the peer to send the last state once more, as it is.
WHOLE = "whole"

_CUT = b","
#: Pieces that are compared at once, at first.
_STRIDE = 64
#: How far apart what follows a change is looked for, and how many pieces must be alike there.
_NEAR, _RUN = 8, 4


class Outgoing:
    """The states that this end sends."""

    def __init__(self) -> None:
        self._text = b""
        self._digest = ""
        self._kind = ""

    def pack(self, message: Message) -> Message:
        """``message`` as it travels."""
        if len(message.parts) != 1:
            return message
        of, before = self._digest, self._text
        head = json.dumps(message.head, separators=(",", ":")).encode()
        self._kind, self._text = message.kind, b"\n".join((head, message.parts[0]))
        self._digest = digest(self._text)
        return self._packed(of, before)

    def again(self) -> Message | None:
        """The last one, whole; None: there was none."""
        return self._packed("", b"") if self._kind else None

    def _packed(self, of: str, before: bytes) -> Message:
        plain = difference(before, self._text)
        small = squeeze(plain)
        head = {"of": of, "is": self._digest, "size": len(self._text), "zstd": small is not None}
        return Message(self._kind, head, (plain if small is None else small,))


class Incoming:
    """The states that the peer sends."""

    def __init__(self) -> None:
        self._text = b""
        self._digest = ""

    def unpack(self, message: Message) -> Message | None:
        """Undo :meth:`Outgoing.pack`. None: it has to come whole.

        Raises:
            ProtocolError: no correct peer sends this.
        """
        if "of" not in message.head:
            return message
        of, is_, size, squeezed = map(message.head.get, ("of", "is", "size", "zstd"))
        if type(size) is not int or not 0 <= size <= LARGEST or len(message.parts) != 1:
            raise ProtocolError("a state does not say how many bytes it has")
        if of not in {"", self._digest}:
            return None
        data = bytes(message.parts[0])
        if squeezed:
            if plain_size(data) > LARGEST:
                raise ProtocolError(f"a state has more than {LARGEST} bytes, decompressed")
            data = expand(data, plain_size(data))
        text = joined(self._text if of else b"", data, size)
        if digest(text) != is_:
            return None
        self._text, self._digest = text, is_
        return _message(message.kind, text)


def _message(kind: str, text: bytes) -> Message:
    said, _, part = text.partition(b"\n")
    try:
        head = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a state cannot be read: {error}") from None
    if not isinstance(head, dict):
        raise ProtocolError("a state does not begin with what it says")
    return Message(kind, head, (part,))


def digest(text: bytes) -> str:
    """By which the ends tell whether they mean the same text."""
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def difference(before: bytes, text: bytes) -> bytes:
    """What it takes to make ``text`` of ``before``: see :func:`joined`."""
    old, new = before.split(_CUT), text.split(_CUT)
    steps: list[int] = []
    fresh: list[bytes] = []
    for start, count, unknown in _steps(old, new):
        steps += (start, count, len(unknown))
        fresh += unknown
    return b"\n".join((json.dumps(steps, separators=(",", ":")).encode(), _CUT.join(fresh)))


def _steps(old: list[bytes], new: list[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
    """Yield what to take from ``old``, from where and how many, and what is new behind it."""
    place: dict[bytes, int] = {}
    at = came = 0
    while at < len(new):
        start, count = came, _alike(old, came, new, at)
        at, came = at + count, came + count
        unknown = at
        if near := _near(old, came, new, at):
            at, came = at + near[0], came + near[1]
        else:
            place = place or dict(zip(old, range(len(old)), strict=True))
            while at < len(new) and new[at] not in place:
                at += 1
            came = place[new[at]] if at < len(new) else came
        yield start, count, new[unknown:at]


def _near(old: list[bytes], came: int, new: list[bytes], at: int) -> tuple[int, int] | None:
    """How many pieces to skip in ``new`` and in ``old`` until they go on alike; None: not here.

    Mostly something small was replaced, and it takes no look at all there is to see that.
    """
    for skip in range(_NEAR):
        ahead = new[at + skip : at + skip + _RUN]
        for jump in range(_NEAR):
            if ahead and ahead == old[came + jump : came + jump + _RUN]:
                return skip, jump
    return None


def _alike(old: list[bytes], start: int, new: list[bytes], at: int) -> int:
    """How many pieces from ``start`` on are those from ``at`` on."""
    most = min(len(old) - start, len(new) - at)
    count, stride = 0, _STRIDE
    while count < most:
        end = min(count + stride, most)
        if old[start + count : start + end] == new[at + count : at + end]:
            count, stride = end, 2 * stride
        elif stride == 1:
            break
        else:
            stride = max(1, stride // 4)
    return max(0, count)


def joined(before: bytes, difference: bytes, size: int) -> bytes:
    """Undo :func:`difference`.

    Args:
        before: the text that it was made for.
        difference: a list of numbers as JSON, three for each step: from which piece of ``before``
            on, how many to take, and how many new ones follow; a line break; the new ones.
        size: bytes of the text.

    Raises:
        ProtocolError: it does not make a text of that size.
    """
    old = before.split(_CUT)
    said, _, rest = difference.partition(b"\n")
    fresh, used, left = rest.split(_CUT), 0, size + 1
    pieces: list[bytes] = []
    for start, count, unknown in _read_steps(said):
        for found in (old[start : start + count], fresh[used : used + unknown]):
            # Each with its comma; a step that takes nothing new must not cost nothing.
            left -= sum(map(len, found)) + len(found)
            if left < 0:
                raise ProtocolError(f"a state has more than the {size} bytes that it says")
            pieces += found
        used += unknown
    if left:
        raise ProtocolError(f"a state does not have the {size} bytes that it says")
    return _CUT.join(pieces)


def _read_steps(said: bytes) -> Iterator[tuple[int, int, int]]:
    try:
        steps: Any = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a state cannot be read: {error}") from None
    if not isinstance(steps, list) or len(steps) % 3:
        raise ProtocolError("a state does not say what it is made of")
    if any(type(number) is not int or number < 0 for number in steps):
        raise ProtocolError("a state is made of what no correct peer names")
    return zip(steps[::3], steps[1::3], steps[2::3], strict=True)
