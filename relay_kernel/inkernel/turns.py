"""Whose turn it is: cells of subshells beside each other, or a capture alone.

Cells of the main shell need no turn: a capture follows them on their own thread, and so does what
waits behind an ``await`` in one. Cells of a subshell run in threads of their own, at any time.
"""

from __future__ import annotations

import contextlib
import threading
import time


class Turns:
    """One for each kernel."""

    def __init__(self):
        self._changed = threading.Condition()
        #: cells of subshells at work, and those of them that were waited for in vain
        self._cells, self._long = set(), set()
        self._closed = False

    @contextlib.contextmanager
    def cell(self):
        """Hold off captures while the block runs a cell of a subshell; wait for one at work."""
        cell = object()
        with self._changed:
            while self._closed:
                self._changed.wait()
            self._cells.add(cell)
        try:
            yield
        finally:
            with self._changed:
                self._cells.discard(cell)
                self._long.discard(cell)
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self, patience):
        """Hold off cells of subshells while the block runs, and wait for those at work.

        Args:
            patience: seconds. A cell that took longer once is not waited for again.

        Yields:
            Whether there is none at work now. If there is one, none will begin all the same.
        """
        end = time.monotonic() + patience
        with self._changed:
            self._closed = True
        try:
            with self._changed:
                while self._cells - self._long and time.monotonic() < end:
                    self._changed.wait(end - time.monotonic())
                self._long |= self._cells
                alone = not self._cells
            yield alone
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()
