"""Arrays in files (``numpy.memmap``): one in the home folder is mapped again on the other side.

Its content is the file's, which the files plane keeps equal; a copy of it would be an array that
writes to nothing. Rule 1 of ``opened`` holds: nothing is created or cut by that.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import sys

from . import rebuild
from .homes import local, travelling
from .reasons import OPEN_FILE, MissingHereError, StaysError

#: Path -> when it was written to, in nanoseconds, as this kernel last told of it.
_TOLD = {}


def root_of(array):
    """Return the memmap that ``array`` is, or looks into, where its content is the file's."""
    memmap = getattr(sys.modules.get("numpy"), "memmap", None)
    found = None
    while isinstance(array, sys.modules["numpy"].ndarray):
        if isinstance(array, memmap) and isinstance(array.base, mmap.mmap):
            found = array
        array = array.base
    if found is None or found.mode == "c" or not found.filename:
        return None
    path = os.path.abspath(found.filename)
    if travelling(path).startswith("~"):
        return found
    if found.flags.writeable:
        raise StaysError(found, f"{OPEN_FILE}, and {path} is not in the home folder")
    return None


def reduce_root(memmap):
    """Reduce a memmap to where its file has it."""
    path = os.path.abspath(memmap.filename)
    flags = memmap.flags
    order = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
    mode = "r+" if flags.writeable else "r"
    facts = memmap.dtype, mode, memmap.offset, memmap.shape, order
    if flags.writeable:
        _tell(path)
    return map_again, (travelling(path), *facts)


def reduce_view(array, root):
    """Reduce an array over part of a memmap."""
    offset = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    args = root, array.dtype, array.shape, array.strides, offset, array.flags.writeable
    if type(array) is type(root):
        return view_again, args
    return rebuild.array_view, args


def _tell(path):
    """Have those who watch a file see that it was written to: they see no write to memory."""
    with contextlib.suppress(OSError):
        written = os.stat(path).st_mtime_ns
        if _TOLD.setdefault(path, written) != written:
            _TOLD[path] = written
            os.close(os.open(path, os.O_WRONLY))


def map_again(path, dtype, mode, offset, shape, order):
    """Return a memmap over what is there.

    Raises:
        MissingHereError: it is not there, or not as long.
    """
    import numpy

    path = local(path)
    needed = offset + math.prod(shape) * dtype.itemsize
    try:
        there = os.stat(path)
        if there.st_size < needed:
            raise MissingHereError(
                f"the file {path} has {there.st_size} bytes here, and it needs {needed}"
            )
        made = numpy.memmap(path, dtype, mode, offset, shape, order)
    except OSError as error:
        raise MissingHereError(f"the file {path} cannot be mapped here: {error.strerror}") from None
    rebuild.current.opened(path, there)
    return made


def view_again(root, *layout):
    """Return a memmap over part of another."""
    import numpy

    made = rebuild.array_view(root, *layout).view(numpy.memmap)
    made._mmap, made.filename, made.offset, made.mode = (
        *(root._mmap, root.filename, root.offset, root.mode),
    )
    return made
