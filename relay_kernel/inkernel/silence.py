"""Keeps what code of the user prints out of the notebook where no cell runs it."""

from __future__ import annotations

import contextlib
import sys
import threading


class _Silence:
    """A stream that drops what one thread writes and passes on what others write."""

    def __init__(self, stream):
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text):
        """Write ``text`` unless it comes from the thread that made this."""
        if threading.get_ident() == self._thread:
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name):
        return getattr(self._stream, name)


@contextlib.contextmanager
def silent():
    """Keep what this thread prints from the notebook: packing runs code of the user."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Silence(out), _Silence(err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
