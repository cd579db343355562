"""What is said of a folder's content: its entries by path, and nothing of how they are stored.

A path is relative to the folder: bytes (names need not be UTF-8), ``/`` between names, none at the
ends. The folder itself is not an entry. A tree is whole: above each of its paths are folders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Kind(Enum):
    """What lies at a path."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies at one path. Equal means: nobody could tell them apart by content and mode."""

    kind: Kind
    content: bytes = b""
    """FILE: its digest, 32 bytes; LINK: what it points to, verbatim; FOLDER: empty."""
    mode: int = 0
    """FILE, FOLDER: permission bits (``& 0o777``); LINK: 0."""
    size: int = field(default=0, compare=False)
    """FILE: bytes."""
    mtime_ns: int = field(default=0, compare=False)
    """Travels with the file, and decides nothing: clocks differ."""


Tree: TypeAlias = "Mapping[bytes, Entry]"


def is_folder(entry: Entry | None) -> TypeGuard[Entry]:
    """Whether there is something, and it is a folder."""
    return entry is not None and entry.kind is Kind.FOLDER


def parent(path: bytes) -> bytes:
    """The path of the folder that holds ``path``; empty for the root."""
    return path[: max(path.rfind(b"/"), 0)]


def ancestors(path: bytes) -> Iterator[bytes]:
    """The folders above ``path``, the nearest first, without the root."""
    while path := parent(path):
        yield path
