"""Contents that tell of themselves whether they are whole.

A file is a row of records. A record begins with the name of its value and its size, and its body
follows from the name: whoever reads a file needs nothing else to see that a part is missing, or
belongs to another.
"""

from __future__ import annotations

import functools
import re

from blake3 import blake3

#: The beginning of a record: the name of its value, and the bytes of its body.
_HEAD = re.compile(rb"<([a-z]+-\d+) (\d+)>\n")
_HEAD_MAX = 40


class TornError(Exception):
    """It is not whole; the text says where."""


def record(value: str, size: int) -> bytes:
    """The record of a value whose body has ``size`` bytes."""
    return b"<%s %d>\n" % (value.encode(), size) + _body(value.encode(), size)


def link(value: str) -> bytes:
    """Where the link of a value leads."""
    return b"to-" + value.encode()


def link_value(target: bytes) -> str:
    """The value of a link that leads there."""
    return target.decode().removeprefix("to-")


def values(data: bytes, *, grows: bool = False) -> list[str]:
    """The values of a file.

    Args:
        data: all of it.
        grows: a log, whose last record may be there in part; it may also have none yet.

    Raises:
        TornError: it is not whole.
    """
    found = []
    at = 0
    if not data and not grows:
        raise TornError("it is empty")
    while at < len(data):
        head = _HEAD.match(data, at, at + _HEAD_MAX)
        if head is None:
            if grows and len(data) - at < _HEAD_MAX and data[at : at + 1] == b"<":
                return found
            raise TornError(f"no record begins at byte {at} of {len(data)}")
        value, size = head[1], int(head[2])
        part = data[head.end() : head.end() + size]
        if part != _body(value, size)[: len(part)]:
            raise TornError(f"{value.decode()} at byte {at} has something else in it")
        if len(part) < size and not grows:
            raise TornError(f"{value.decode()} has {len(part)} of its {size} bytes")
        if len(part) == size:
            found.append(value.decode())
        at = head.end() + size
    return found


@functools.lru_cache(maxsize=256)
def _body(value: bytes, size: int) -> bytes:
    return blake3(value).digest(length=size)
