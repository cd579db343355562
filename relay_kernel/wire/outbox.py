"""Messages that wait for their turn on the link, cut into pieces that small ones can pass."""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from relay_kernel.wire import frames
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Type
from relay_kernel.wire.message import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relay_kernel.wire.message import Part

#: Bytes that wait in memory; what goes beyond is given to the spool.
MEMORY = 16 << 20
#: Bytes that go to the spool at a time, so that a million small messages are some thousand blocks.
BLOCK = 256 << 10
#: Bytes that an object for a piece costs beside its content.
_OVERHEAD = 200

_PIECE_HEAD = struct.Struct("<IBB")

Reference = tuple[int, int]
"""What a spool gives back for a block: where it is, and its size."""


class Piece(NamedTuple):
    """A whole message (DATA), or a fragment of one (PART, BULK)."""

    type: Type
    last: bool
    body: Part

    def frame(self, number: int, received: int) -> list[Part]:
        """The frame that carries it."""
        if self.type is Type.DATA:
            return frames.data(number, received, [self.body])
        return frames.fragment(self.type, number, received, self.body, last=self.last)


class Spool(Protocol):
    """Where an outbox puts what memory shall not hold. First in, first out."""

    def append(self, data: bytes) -> Reference | None:
        """Keep ``data``; None if that is not possible now, and it must stay in memory."""
        ...

    def read(self, reference: Reference) -> bytes:
        """What was appended. Asked once for each reference, in their order.

        Raises:
            OSError: it cannot be read. It may be asked for again.
        """
        ...

    def clear(self) -> None:
        """Nothing that was appended is needed any more."""
        ...


def cut(body: bytes, piece: int, *, bulk: bool) -> Iterator[Piece]:
    """Cut an encoded message into pieces.

    Args:
        body: the message.
        piece: bytes of each; a message of the ordinary class that is no longer stays whole.
        bulk: its class.

    Raises:
        ProtocolError: it is larger than any peer would take.
    """
    if len(body) > LARGEST:
        raise ProtocolError(f"a message of {len(body)} bytes is larger than the limit of {LARGEST}")
    if len(body) <= piece and not bulk:
        return iter((Piece(Type.DATA, True, body),))
    kind = Type.BULK if bulk else Type.PART
    view = memoryview(body)
    ends = range(piece, len(body) + piece, piece)
    return (Piece(kind, end >= len(body), view[end - piece : end]) for end in ends)


class Fragments:
    """What has come of a message of one class: :func:`cut` undone."""

    def __init__(self) -> None:
        self.parts: list[memoryview] = []
        self._size = 0

    def join(self, fragment: memoryview, *, last: bool) -> memoryview | None:
        """The body of the message, if this was its last fragment.

        Raises:
            ProtocolError: it has become larger than any correct peer sends.
        """
        self._size += len(fragment)
        if self._size > LARGEST:
            raise ProtocolError(f"the fragments of a message have more than {LARGEST} bytes")
        self.parts.append(fragment)
        if not last:
            return None
        body = memoryview(b"".join(self.parts))
        self.parts, self._size = [], 0
        return body


class Queue:
    """Pieces of one class, first in, first out. Beyond ``memory`` bytes they wait in a spool.

    Invariant: ``_head`` comes before ``_blocks``, which come before ``_tail``; and while there is
    anything behind it, nothing is added to ``_head`` but what comes next.
    """

    def __init__(self, spool: Spool | None = None, memory: int = MEMORY) -> None:
        self._spool = spool
        self._memory = memory
        self._head: deque[Piece] = deque()
        self._blocks: deque[Reference | list[Piece]] = deque()
        self._tail: list[Piece] = []
        self._tail_size = 0
        self._spooled = 0
        self.count = 0
        """Pieces that wait, wherever."""
        self.size = 0
        """Bytes of them."""
        self._held = 0

    @property
    def spooled(self) -> int:
        """How many blocks are in the spool."""
        return self._spooled

    def put(self, piece: Piece) -> None:
        """Add a piece at the end."""
        size = len(piece.body) + _OVERHEAD
        self.count += 1
        self.size += len(piece.body)
        behind = self._blocks or self._tail
        if self._spool is None or not (behind or self._held + size > self._memory):
            self._head.append(piece)
            self._held += size
            return
        self._tail.append(piece)
        self._tail_size += size
        if self._tail_size >= BLOCK:
            self._blocks.append(self._stow(self._spool, self._tail))
            self._tail, self._tail_size = [], 0

    def peek(self) -> Piece:
        """The next piece; there is one.

        Raises:
            OSError: it cannot be read back. Nothing is lost: it is still the next.
        """
        if not self._head:
            self._refill()
        return self._head[0]

    def pop(self) -> Piece:
        """Take the piece that :meth:`peek` showed."""
        piece = self._head.popleft()
        self.count -= 1
        self.size -= len(piece.body)
        self._held -= len(piece.body) + _OVERHEAD
        return piece

    def clear(self) -> None:
        """Forget everything."""
        for pieces in (self._head, self._blocks, self._tail):
            pieces.clear()
        self.count = self.size = self._held = self._tail_size = 0
        self._forget_spooled(self._spooled)

    def _stow(self, spool: Spool, pieces: list[Piece]) -> Reference | list[Piece]:
        reference = spool.append(_pack(pieces))
        if reference is None:
            return pieces
        self._spooled += 1
        return reference

    def _refill(self) -> None:
        if not self._blocks:
            pieces, self._tail, self._tail_size = self._tail, [], 0
        elif isinstance(block := self._blocks[0], list):
            pieces = block
            self._blocks.popleft()
        else:
            assert self._spool is not None
            pieces = list(_unpack(self._spool.read(block)))
            self._blocks.popleft()
            self._forget_spooled(1)
        self._head.extend(pieces)
        self._held = sum(len(piece.body) + _OVERHEAD for piece in self._head)

    def _forget_spooled(self, count: int) -> None:
        self._spooled -= count
        if count and not self._spooled and self._spool:
            self._spool.clear()


def _pack(pieces: Iterable[Piece]) -> bytes:
    return b"".join(
        part
        for piece in pieces
        for part in (_PIECE_HEAD.pack(len(piece.body), piece.type, piece.last), piece.body)
    )


def _unpack(block: bytes) -> Iterator[Piece]:
    at = 0
    while at < len(block):
        size, kind, last = _PIECE_HEAD.unpack_from(block, at)
        at += _PIECE_HEAD.size
        yield Piece(Type(kind), bool(last), memoryview(block)[at : at + size])
        at += size
