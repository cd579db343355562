"""The debugger of this kernel: one with that of the other kernels, and blind to our own code."""

from __future__ import annotations

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
    debugger = getattr(kernel, "debugger", None)
    if folder and _is_free(folder):
        for name in ("ipykernel.compiler", "ipykernel.debugger"):
            module = sys.modules.get(name)
            if hasattr(module, "get_tmp_directory"):
                module.get_tmp_directory = lambda: folder
    skipped = getattr(debugger, "kernel_modules", None)
    if isinstance(skipped, list):
        skipped.extend(str(path) for path in Path(__file__).parent.rglob("*.py"))


def _is_free(folder):
    """Return whether a folder is not there yet, or is ours."""
    try:
        return os.lstat(folder).st_uid == os.getuid()
    except OSError:
        return True
