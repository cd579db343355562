"""Content made smaller for the line, where that pays.

What it is compressed for is one transfer: a chunk is named by the hash of its plain content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zstandard

from relay_kernel.wire.errors import ProtocolError

if TYPE_CHECKING:
    from relay_kernel.wire.message import Part

#: Bytes below which the head of a message weighs more than what is saved.
SMALL = 512
#: What is not smaller by a tenth goes as it is: the other end is spared the work.
WORTH = 0.9
#: Bytes from the middle by which large content is judged: random numbers cost next to nothing then.
_SAMPLE = 32 << 10
#: The fastest. On tables and pickles the higher levels gain a tenth, and take twice as long.
_LEVEL = 1


def squeeze(data: Part) -> bytes | None:
    """``data`` compressed, or None if that does not make it a tenth smaller."""
    if len(data) < SMALL:
        return None
    if len(data) > 4 * _SAMPLE:
        middle = len(data) // 2
        if _squeeze(data[middle : middle + _SAMPLE]) is None:
            return None
    return _squeeze(data)


def _squeeze(data: Part) -> bytes | None:
    small = zstandard.ZstdCompressor(level=_LEVEL).compress(data)
    return small if len(small) <= WORTH * len(data) else None


def plain_size(data: bytes) -> int:
    """The bytes that ``data``, which :func:`squeeze` returned, says to have in plain.

    Raises:
        ProtocolError: ``data`` is not such content.
    """
    try:
        size = int(zstandard.frame_content_size(data))
    except zstandard.ZstdError as error:
        raise ProtocolError(f"compressed content cannot be read: {error}") from error
    if size < 0:
        raise ProtocolError("compressed content does not say its size")
    return size


def expand(data: bytes, size: int) -> bytes:
    """Undo :func:`squeeze`.

    Args:
        data: what it returned.
        size: bytes of the plain content; the caller knows how many are reasonable.

    Raises:
        ProtocolError: ``data`` is not such content.
    """
    if plain_size(data) != size:
        raise ProtocolError(f"compressed content does not have the {size} bytes it should")
    try:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ProtocolError(f"compressed content cannot be read: {error}") from error
