"""The digest of a file, and of its pieces, in one pass."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Bytes of a piece. A file that is no longer than one is its own piece.
CHUNK = 1 << 18
#: Bytes that are read at a time.
_BUFFER = 16 * CHUNK


def digest(data: bytes | memoryview) -> bytes:
    """The digest of a piece, and of a file that is one piece; 32 bytes."""
    return blake3(data).digest()


def whole(size: int, pieces: Sequence[bytes]) -> bytes:
    """The digest of a file of ``size`` bytes, from those of its pieces."""
    if size <= CHUNK:
        return pieces[0]
    state = blake3(b"chunks")
    state.update(size.to_bytes(8, "little"))
    state.update(b"".join(pieces))
    return state.digest()


def count(size: int) -> int:
    """How many pieces a file of ``size`` bytes has; an empty one has an empty piece."""
    return max(1, -(-size // CHUNK))


def extent(size: int, number: int) -> tuple[int, int]:
    """Where piece ``number`` of a file of ``size`` bytes begins, and how long it is."""
    start = number * CHUNK
    return start, min(CHUNK, size - start)


@functools.lru_cache(maxsize=64)
def zeros(length: int) -> bytes:
    """The digest of a piece that is ``length`` zeros: a hole, in a sparse file."""
    return digest(bytes(length))


def hash_pieces(fd: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """The digest and the bytes of each piece of an open file, as far as it goes up to ``size``.

    The bytes are good until the next piece is asked for. A file that has become shorter gives
    fewer or shorter pieces.
    """
    buffer = memoryview(bytearray(min(_BUFFER, max(1, size))))
    offset = 0
    while offset < size or offset == 0:
        got = _fill(fd, buffer[: min(len(buffer), size - offset)], offset)
        for start in range(0, max(1, got), CHUNK):
            piece = buffer[start : min(start + CHUNK, got)]
            yield digest(piece), piece
        offset += got
        if got < len(buffer):
            return


def _fill(fd: int, buffer: memoryview, offset: int) -> int:
    """Read until ``buffer`` is full or the file ends; return the bytes read."""
    got = 0
    while got < len(buffer):
        more = os.preadv(fd, [buffer[got:]], offset + got)
        if not more:
            break
        got += more
    return got


def read_piece(fd: int, size: int, number: int) -> bytes:
    """Piece ``number`` of an open file of ``size`` bytes; shorter if the file ends earlier."""
    start, length = extent(size, number)
    data = os.pread(fd, length, start)
    while len(data) < length:
        more = os.pread(fd, length - len(data), start + len(data))
        if not more:
            break
        data += more
    return data
