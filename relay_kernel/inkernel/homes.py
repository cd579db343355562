"""Paths that mean the same on another machine: what is in the home folder is there as well."""

from __future__ import annotations

import os


def travelling(path):
    """Return ``path`` with the home folder as ``~``, so that it means the same elsewhere."""
    home = os.path.expanduser("~")
    if path == home or path.startswith(home + os.sep):
        return "~" + path[len(home) :]
    return path


def local(path):
    """Return what a path that travelled is called here."""
    return os.path.expanduser(path) if path[:1] == "~" else path
