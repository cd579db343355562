"""What a folder holds, as data: names and what they stand for."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Kind(enum.Enum):
    """What a name in a folder can be."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one name stands for. Two are equal when nobody has to be told of a difference.

    Attributes:
        kind: File, folder or symbolic link.
        content: Of a file its digest, 32 bytes; of a link its target, verbatim; of a folder empty.
        mode: Permission bits of a file or a folder, at most ``0o777``; 0 for a link.
        size: Bytes of a file.
        mtime_ns: Nanoseconds since the epoch; travels, and decides nothing.
    """

    kind: Kind
    content: bytes = b""
    mode: int = 0
    size: int = field(default=0, compare=False)
    mtime_ns: int = field(default=0, compare=False)


#: Paths are bytes, relative, with ``/`` between the names; the folder itself is not in it.
Tree = Mapping[bytes, Entry]
