"""What two ends say of their folders, as bytes, and back: nothing unchecked comes in.

The other machine is a peer, not a friend: a path that leaves the folder ends the link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from relay_kernel.core.plan import Change
from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import count
from relay_kernel.files.rules import OWN
from relay_kernel.wire.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relay_kernel.wire.message import Part

#: Bytes of a digest.
DIGEST = 32
#: Bytes of the longest path that any end has a use for; Linux takes no longer ones either.
LONGEST = 4096

T = TypeVar("T")


class LeavesFolderError(ProtocolError):
    """A path of the peer's leads out of the folder, or into what is ours there."""


class _Change(msgspec.Struct, array_like=True):
    path: bytes
    old: Entry | None
    new: Entry | None
    kept_at: bytes | None


_ENTRY: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)
_PATHS: msgspec.msgpack.Decoder[list[bytes]] = msgspec.msgpack.Decoder(list[bytes])
_ENTRIES: msgspec.msgpack.Decoder[list[tuple[bytes, Entry | None]]] = msgspec.msgpack.Decoder(
    list[tuple[bytes, Entry | None]]
)
_CHANGES: msgspec.msgpack.Decoder[list[_Change]] = msgspec.msgpack.Decoder(list[_Change])
_REASONS: msgspec.msgpack.Decoder[dict[bytes, str]] = msgspec.msgpack.Decoder(dict[bytes, str])
_VALUES: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[Any])
_pack = msgspec.msgpack.Encoder().encode


def pack_entry(entry: Entry) -> bytes:
    """One entry."""
    return _pack(entry)


def unpack_entry(part: Part) -> Entry:
    """Undo :func:`pack_entry`.

    Raises:
        ProtocolError: it is none.
    """
    return check_entry(_decode(_ENTRY, part))


def pack_paths(paths: Iterable[bytes]) -> bytes:
    """Some paths."""
    return _pack(list(paths))


def unpack_paths(part: Part) -> list[bytes]:
    """Undo :func:`pack_paths`.

    Raises:
        ProtocolError: they are none, or one leaves the folder.
    """
    return [check_path(path) for path in _decode(_PATHS, part)]


def pack_entries(entries: Iterable[tuple[bytes, Entry | None]]) -> bytes:
    """What lies at some paths; None: nothing."""
    return _pack(list(entries))


def unpack_entries(part: Part) -> list[tuple[bytes, Entry | None]]:
    """Undo :func:`pack_entries`.

    Raises:
        ProtocolError: they are none, or a path leaves the folder.
    """
    found = _decode(_ENTRIES, part)
    for path, entry in found:
        check_path(path)
        if entry is not None:
            check_entry(entry)
    return found


def pack_changes(changes: Iterable[Change]) -> bytes:
    """Some changes."""
    return _pack([(each.path, each.old, each.new, each.kept_at) for each in changes])


def unpack_changes(part: Part) -> list[Change]:
    """Undo :func:`pack_changes`.

    Raises:
        ProtocolError: they are none, or a path leaves the folder.
    """
    changes = []
    for packed in _decode(_CHANGES, part):
        for entry in (packed.old, packed.new):
            if entry is not None:
                check_entry(entry)
        if packed.kept_at is not None:
            check_path(packed.kept_at)
        change = Change(check_path(packed.path), packed.old, packed.new, packed.kept_at)
        changes.append(change)
    return changes


def pack_reasons(reasons: Mapping[bytes, str]) -> bytes:
    """Why some paths are not taken."""
    return _pack(dict(reasons))


def unpack_reasons(part: Part) -> dict[bytes, str]:
    """Undo :func:`pack_reasons`.

    Raises:
        ProtocolError: they are none, or a path leaves the folder.
    """
    reasons = _decode(_REASONS, part)
    for path in reasons:
        check_path(path)
    return reasons


def pack_values(values: Sequence[bytes | str | int | None]) -> bytes:
    """A row of plain values: contents of files, numbers, words."""
    return _pack(list(values))


def unpack_values(part: Part) -> list[Any]:
    """Undo :func:`pack_values`.

    Raises:
        ProtocolError: it is none.
    """
    values = _decode(_VALUES, part)
    if not all(value is None or type(value) in {bytes, str, int} for value in values):
        raise ProtocolError("what came of a folder holds a value of another kind")
    return values


def pack_pieces(pieces: Iterable[bytes]) -> bytes:
    """The digests of a file's pieces."""
    return b"".join(pieces)


def unpack_pieces(part: Part, entry: Entry) -> list[bytes]:
    """Undo :func:`pack_pieces`.

    Raises:
        ProtocolError: ``entry`` has not so many pieces.
    """
    data = bytes(part)
    if len(data) != DIGEST * count(entry.size):
        raise ProtocolError(f"{len(data)} bytes of digests came for {count(entry.size)} pieces")
    return [data[at : at + DIGEST] for at in range(0, len(data), DIGEST)]


def check_path(path: bytes) -> bytes:
    """Return ``path``, a path inside a folder that does not touch what is ours there.

    Raises:
        LeavesFolderError: it is empty or absolute, holds ``..`` or a NUL, or is in ``.relay``.
    """
    names = path.split(b"/")
    if (
        len(path) > LONGEST
        or b"\0" in path
        or names[0] == OWN
        or any(name in {b"", b".", b".."} for name in names)
    ):
        raise LeavesFolderError(f"the path {path[:100]!r} leaves the folder: it was refused")
    return path


def check_entry(entry: Entry) -> Entry:
    """Return ``entry``, one that a scan could have found.

    Raises:
        ProtocolError: its digest, its mode or its size is none.
    """
    wrong = not 0 <= entry.mode <= 0o777 or entry.size < 0
    if entry.kind is Kind.FILE:
        wrong = wrong or len(entry.content) != DIGEST
    elif entry.kind is Kind.FOLDER:
        wrong = wrong or bool(entry.content)
    else:
        wrong = wrong or not entry.content or b"\0" in entry.content
    if wrong:
        raise ProtocolError(f"an entry cannot be: {entry.kind.value}, mode {entry.mode:o}")
    return entry


def _decode(decoder: msgspec.msgpack.Decoder[T], part: Part) -> T:
    try:
        return decoder.decode(part)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise ProtocolError(f"what came of a folder cannot be read: {error}") from None
