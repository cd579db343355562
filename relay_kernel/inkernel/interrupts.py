"""Where Ctrl-C may raise: where somebody catches it.

ipykernel has SIGINT ignored between two messages, and raise in all that it does for one. So it
may meet what stands around the cell, whose answer is then never sent; and a capture, which comes
between two messages, would let it through to the event loop, which ends the kernel.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import threading


class Gate:
    """Lets SIGINT raise from within the handlers of messages, and not shortly before as well.

    Other threads may take their turn there, so that it is no short moment. What ipykernel does
    behind a handler shuts it again.

    Args:
        kernel: the kernel.
    """

    def __init__(self, kernel):
        self._kernel = kernel
        self._due = False
        kernel.pre_handler_hook = self._before_a_message
        for name, handler in kernel.shell_handlers.items():
            kernel.shell_handlers[name] = self._opening(handler)

    def open(self):
        """Have SIGINT raise from here on. A comm that comes while a cell awaits changes nothing."""
        if _here() and self._due:
            self._due = False
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def shut(self):
        """Have SIGINT do nothing until the next message."""
        if _here():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _before_a_message(self):
        if _here():
            self._kernel.saved_sigint_handler = signal.getsignal(signal.SIGINT)
            self._due = True

    def _opening(self, handler):
        @functools.wraps(handler)
        def handle(stream, ident, parent):
            self.open()
            return handler(stream, ident, parent)

        return handle


def interruptible(work, *args):
    """Return ``work(*args)``.

    Raises:
        KeyboardInterrupt: Ctrl-C came while it was at work.
    """
    if not _here():
        return work(*args)
    armed = False

    def once(number, frame):
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, once)
    try:
        armed = True
        found = work(*args)
        armed = False
    finally:
        armed = False
        signal.signal(signal.SIGINT, before)
    return found


@contextlib.contextmanager
def uninterrupted():
    """Have Ctrl-C do nothing: what is inside is short and must not stop half way."""
    if not _here():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _here():
    """Return whether this is the thread in which signals raise."""
    return threading.current_thread() is threading.main_thread()
