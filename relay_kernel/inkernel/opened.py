"""Open files: one in the home folder is opened again on the other side, at its place.

Rule 1: what is opened again is never created, cut or otherwise changed by that: a standby does it
after every cell.
Rule 2: what was written is flushed before the place is taken, so a handle that stays behind in a
kernel has nothing left to write.

Only what is in the home folder means the same elsewhere; of another path, a file of that name on
another machine may have other content.
"""

from __future__ import annotations

import gc
import io
import os
import stat
import sys
import weakref

from . import rebuild
from .homes import local, travelling
from .reasons import OPEN_FILE, MissingHereError, StaysError

#: Each takes a raw file.
_BUFFERS = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)
_STANDARD = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
#: Bytes. To find the place of a text that is being iterated over, the rest of it must be read.
_READABLE = 1 << 24
#: text -> its ``newline``, which Python does not tell
_NEWLINES = weakref.WeakKeyDictionary()


# --------------------------------------------------------------------- taking apart


def reduce_text(pickler, file):
    """Reduce a text file to the binary one below it, and how that is read."""
    for name in _STANDARD:
        if file is getattr(sys, name, None):
            return rebuild.stream, (name,)
    mode = getattr(file, "mode", None)
    if not isinstance(mode, str) or not isinstance(file.buffer, _BUFFERS):
        raise StaysError(file, OPEN_FILE)
    facts = {name: getattr(file, name) for name in ("encoding", "errors", "line_buffering")}
    facts.update(mode=mode, write_through=file.write_through)
    if file.closed:
        return reopen_text, (file.buffer, facts, None)
    _path(file, file.buffer.raw)  # so that what is told of is this and not its buffer
    _flush(file)
    facts["newline"] = _newline(file)
    place = _place(file) if file.seekable() else None
    return reopen_text, (file.buffer, facts, place)


def reduce_binary(pickler, file):
    """Reduce a binary file to its path, mode and place."""
    raw = file if isinstance(file, io.FileIO) else file.raw
    if not isinstance(raw, io.FileIO):
        raise StaysError(file, OPEN_FILE)
    if file.closed:
        return reopen_binary, (type(file), str(raw.name), None, raw.mode, None)
    _flush(file)
    path = _path(file, raw)
    called = raw.name if isinstance(raw.name, str) and not os.path.isabs(raw.name) else None
    return reopen_binary, (type(file), called, travelling(path), raw.mode, file.tell())


def _flush(file):
    if not file.writable():
        return
    try:
        file.flush()
    except (OSError, ValueError) as error:
        raise StaysError(file, f"what was written to it cannot be flushed: {error}") from None


def _path(file, raw):
    """Return the path of an open file that means the same on another machine."""
    try:
        own = os.fstat(raw.fileno())
        path = _path_of(raw)
        there = os.stat(path)
    except (OSError, ValueError, TypeError):
        raise StaysError(file, f"{OPEN_FILE}, and this one has no path any more") from None
    if not stat.S_ISREG(own.st_mode):
        raise StaysError(file, f"{OPEN_FILE}, and this one is no ordinary file")
    if not os.path.samestat(own, there):
        raise StaysError(file, f"{OPEN_FILE}, and {path} is another one by now")
    if not travelling(path).startswith("~"):
        raise StaysError(file, f"{OPEN_FILE}, and {path} is not in the home folder")
    return path


def _path_of(raw):
    """Return the absolute path; the folder may have been changed since the file was opened."""
    path = os.fsdecode(raw.name)  # TypeError: it was opened by number
    if os.path.isabs(path):
        return path
    try:
        return os.readlink(f"/proc/self/fd/{raw.fileno()}")
    except OSError:
        return os.path.abspath(path)


def _place(file):
    """Return where a text is, as ``tell`` does."""
    try:
        return file.tell()
    except OSError:
        # After `next` Python does not tell, but where it is can be found from what is left.
        return _place_by_rest(file)


def _place_by_rest(file):
    size = os.fstat(file.fileno()).st_size
    if size > _READABLE:
        raise StaysError(file, f"{OPEN_FILE}, and this one is in the middle of a loop over it")
    rest = file.read()
    for ending in ("\n", "\r\n", "\r"):
        place = size - len(rest.replace("\n", ending).encode(file.encoding, file.errors))
        if place < 0:
            continue
        file.seek(place)
        try:
            found = file.read() == rest
        except ValueError:
            found = False
        file.seek(place)
        if found:
            return place
    raise StaysError(file, f"{OPEN_FILE}, and the place in this one cannot be told")


def _newline(file):
    """Return what ``open`` was given as ``newline``: Python keeps it, but does not tell."""
    known = _NEWLINES.get(file, file)
    if known is not file:
        return known
    if file.seekable():
        # Text that was read ahead would be among what the file refers to.
        file.seek(_place(file))
    texts = [each for each in gc.get_referents(file) if type(each) is str]
    for own in (file.encoding, file.errors):
        if own in texts:
            texts.remove(own)
    if len(texts) > 1:
        raise StaysError(file, f"{OPEN_FILE}, and how this one reads line ends cannot be told")
    _NEWLINES[file] = texts[0] if texts else None
    return _NEWLINES[file]


# --------------------------------------------------------------------- putting together


def reopen_text(buffer, facts, place):
    """Return a text file over ``buffer``, at ``place``."""
    if buffer.closed:
        with io.FileIO(os.devnull, buffer.mode) as nothing:
            nothing.name = buffer.name
            text = io.TextIOWrapper(type(buffer)(nothing))
            text.mode = facts["mode"]
            text.close()
        return text
    text = io.TextIOWrapper(
        buffer,
        facts["encoding"],
        facts["errors"],
        facts["newline"],
        line_buffering=facts["line_buffering"],
        write_through=facts["write_through"],
    )
    text.mode = facts["mode"]
    _NEWLINES[text] = facts["newline"]
    if place is not None:
        text.seek(place)
    return text


def reopen_binary(kind, called, path, mode, place):
    """Return a binary file.

    Args:
        kind: its class.
        called: its name where that is not the path; None if it is.
        path: as ``travelling`` made it; None for a file that was closed.
        mode: of the raw file.
        place: bytes from the start; None for a file that was closed.

    Raises:
        MissingHereError: it is not there, or not as long.
    """
    if path is None:
        raw = io.FileIO(os.devnull, mode)
        raw.name = called
        file = _over(kind, raw)
        file.close()
        return file
    path = local(path)
    try:
        size = os.stat(path).st_size
        if size < place:
            raise MissingHereError(
                f"the file {path} has {size} bytes here, and its place is after {place}"
            )
        raw = io.FileIO(path, mode, opener=_open_as_it_is)
        rebuild.current.opened(path, os.fstat(raw.fileno()))
    except OSError as error:
        raise MissingHereError(f"the file {path} cannot be opened here: {error.strerror}") from None
    if called is not None:
        raw.name = called
    file = _over(kind, raw)
    file.seek(place)
    return file


def _over(kind, raw):
    return raw if kind is io.FileIO else kind(raw)


def _open_as_it_is(path, flags):
    return os.open(path, flags & ~(os.O_CREAT | os.O_TRUNC | os.O_EXCL))


#: Exact type -> reducer.
REDUCERS = {
    io.TextIOWrapper: reduce_text,
    io.BufferedReader: reduce_binary,
    io.BufferedWriter: reduce_binary,
    io.BufferedRandom: reduce_binary,
    io.FileIO: reduce_binary,
}
