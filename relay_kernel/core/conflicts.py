"""The names of conflict copies: beside the file, told apart by a note before its ending."""

from __future__ import annotations

from relay_kernel.core.tree import parent

#: Bytes of the longest name that Linux file systems take.
NAME_MAX = 255
#: Longer endings are no endings: `Dr. Miller's notes`.
ENDING_MAX = 16


def note_path(path: bytes, note: str) -> bytes:
    """``path`` with ``note`` in brackets before the ending: ``a/b (note).txt``.

    The same path and note give the same name: a copy that was made, but not yet recorded, when the
    power went is found again instead of being made twice. So let the note be of the version (the
    target's name and the file's own time), not of the moment.

    Args:
        path: of the file, link or folder.
        note: short, without ``/``.
    """
    folder = parent(path)
    name = path[len(folder) + 1 if folder else 0 :]
    dot = name.rfind(b".")
    if dot <= 0 or len(name) - dot > ENDING_MAX:
        dot = len(name)
    tail = b" (" + note.encode("utf-8", "surrogateescape") + b")" + name[dot:]
    name = _shorten(name[:dot], NAME_MAX - len(tail)) + tail
    return folder + b"/" + name if folder else name


def number_path(path: bytes, number: int) -> bytes:
    """The name to try when ``number - 1`` names of that copy are taken; 1 gives ``path`` itself."""
    return path if number == 1 else note_path(path, str(number))


def _shorten(stem: bytes, room: int) -> bytes:
    """Cut ``stem`` to ``room`` bytes, but through no UTF-8 character if it is made of them."""
    if len(stem) <= room:
        return stem
    short = stem[:room]
    try:
        stem.decode()
    except UnicodeDecodeError:
        return short
    return short.decode(errors="ignore").encode()
