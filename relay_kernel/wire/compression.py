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
#: How far content may have moved since, where it is judged by samples.
_MOVED = 128 << 10
#: Logarithms of bytes that can be looked back at, and of places that are remembered in them. The
#: level's own are for a stream: it would not find its way through a mebibyte.
_LOOK_BACK, _PLACES = 21, 17


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
    return _worth(zstandard.ZstdCompressor(level=_LEVEL).compress(data), data)


def _worth(small: bytes, data: Part) -> bytes | None:
    return small if len(small) <= WORTH * len(data) else None


def difference(data: bytes, base: bytes) -> bytes | None:
    """``data`` as what differs from ``base``, or None if that is not a tenth smaller.

    Zstandard takes ``base`` for its dictionary: what of it comes again, moved or not, costs little.
    """
    if len(data) < SMALL or not base:
        return None
    if len(data) > 8 * _SAMPLE:
        # What changed may be in one place.
        starts = (len(data) * part // 8 for part in (1, 4, 7))
        if not any(_is_alike(data, base, start) for start in starts):
            return None
    return _difference(data, base)


def _is_alike(data: bytes, base: bytes, start: int) -> bool:
    near = base[max(0, start - _MOVED) : start + _SAMPLE + _MOVED]
    return bool(near) and _difference(data[start : start + _SAMPLE], near) is not None


def _difference(data: bytes, base: bytes) -> bytes | None:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, window_log=_LOOK_BACK, hash_log=_PLACES
    )
    packer = zstandard.ZstdCompressor(compression_params=parameters, dict_data=_dictionary(base))
    return _worth(packer.compress(data), data)


def _dictionary(base: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


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


def expand(data: bytes, size: int, base: bytes = b"") -> bytes:
    """Undo :func:`squeeze`, or :func:`difference`.

    Args:
        data: what it returned.
        size: bytes of the plain content; the caller knows how many are reasonable.
        base: what it differs from.

    Raises:
        ProtocolError: ``data`` is not such content.
    """
    if plain_size(data) != size:
        raise ProtocolError(f"compressed content does not have the {size} bytes it should")
    try:
        reader = zstandard.ZstdDecompressor(dict_data=_dictionary(base) if base else None)
        return reader.decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ProtocolError(f"compressed content cannot be read: {error}") from error
