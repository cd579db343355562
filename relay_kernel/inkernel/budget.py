"""How long packing one component may take, and how large it may get.

Time is watched by the one timer that a process has, and only where the user has not set it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time

from .reasons import CannotTravelError

#: How such a reason begins; the same object is then not tried again.
TOO_LONG = "packing it took longer than"
#: Seconds. How often the timer looks; a capture is mostly over before it does for the first time.
_TICK = 1.0


class TooLong(BaseException):
    """The time is over. No ``except Exception`` of the user's code is meant to hold it up."""


class Budget:
    """What each component has.

    Args:
        seconds: 0 for no limit.
        size: bytes; 0 for no limit.
    """

    def __init__(self, seconds, size):
        self.seconds = seconds
        self.size = size
        self._began = None

    @contextlib.contextmanager
    def watch(self):
        """Look at the time while the block runs, if nobody else uses the timer."""
        if not self.seconds or not _is_free():
            yield
            return
        before = signal.signal(signal.SIGALRM, self._look)
        tick = min(_TICK, self.seconds / 4)
        signal.setitimer(signal.ITIMER_REAL, tick, tick)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _look(self, *_):
        if self._began is not None and time.monotonic() - self._began > self.seconds:
            raise TooLong

    def within(self, call, *args):
        """Return ``call(*args)``.

        Raises:
            TooLong: it takes too long, and somebody watches.
            Exception: what it raised.
        """
        self._began = time.monotonic()
        try:
            return call(*args)
        finally:
            self._began = None

    def pack(self, pack, value):
        """Return ``pack(value)``, a Dump.

        Raises:
            CannotTravelError: it takes too long, or is too large.
            Exception: what packing raised.
        """
        try:
            dump = self.within(pack, value)
        except TooLong:
            raise CannotTravelError(f"{TOO_LONG} {self.seconds:g} s") from None
        if self.size and dump.size > self.size:
            raise CannotTravelError(f"it has {dump.size} bytes, and the limit is {self.size}")
        return dump


def _is_free():
    return (
        threading.current_thread() is threading.main_thread()
        and hasattr(signal, "setitimer")
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    )
