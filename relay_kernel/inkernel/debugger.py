"""The debugger of this kernel: one with that of the other kernels, and blind to our own code."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def prepare(kernel, folder):
    """Let breakpoints hold in every kernel of the notebook, and let steps pass over our code.

    A front end works out the file name of a cell, at which it sets its breakpoints, from what the
    kernel said when the debugger was attached. Functions of the user take such names with them.

    Args:
        kernel: the kernel.
        folder: of the files of cells, the same in all kernels of the notebook; or None.
    """
    if folder and _is_free(folder):
        _put("ipykernel.compiler", lambda: folder)
        _put("ipykernel.debugger", lambda: _made(folder))
    skipped = getattr(getattr(kernel, "debugger", None), "kernel_modules", None)
    if isinstance(skipped, list):
        skipped.extend(str(path) for path in Path(__file__).parent.rglob("*.py"))


def _put(module, get_tmp_directory):
    """Take the place of what a module of ipykernel has imported."""
    found = sys.modules.get(module)
    if hasattr(found, "get_tmp_directory"):
        found.get_tmp_directory = get_tmp_directory


def _made(folder):
    """Return ``folder``, which is there then.

    ipykernel looks whether it is there and makes it, in two steps. Between those, another kernel of
    the notebook on the same machine may make it, and the debugger would never say that it started.
    """
    with contextlib.suppress(OSError):
        os.mkdir(folder, 0o700)
    return folder


def _is_free(folder):
    """Return whether a folder is not there yet, or is ours."""
    try:
        return os.lstat(folder).st_uid == os.getuid()
    except OSError:
        return True
