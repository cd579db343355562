"""Packs what is nested more deeply than the stack of a cell allows: long chains, parsed pages."""

from __future__ import annotations

import contextvars
import ctypes
import sys
import threading

#: Bytes of stack, and levels: each has as much as Python's own limit leaves it on a common stack of
#: 8 MiB, since code that asks itself for ever gets here as well, and must not end the process.
_STACK = 512 << 20
_LEVELS = _STACK // ((8 << 20) // 1000)


def call(function, *args):
    """Return ``function(*args)``, called on a stack of its own that is as large as it takes.

    Raises:
        BaseException: what the function raised; RecursionError where there is no larger stack,
            or this Python (3.12, 3.13) has a bound of its own for code in C.
    """
    outcome = []

    def work():
        try:
            outcome.append((function(*args), None))
        except BaseException as error:
            outcome.append((None, error))

    limit, size = sys.getrecursionlimit(), threading.stack_size()
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    try:
        sys.setrecursionlimit(max(limit, _LEVELS))
        threading.stack_size(_STACK)
        thread.start()
    except (RuntimeError, ValueError, MemoryError):
        raise RecursionError from None
    finally:
        threading.stack_size(size)
        try:
            interrupted = _finish(thread)
        finally:
            sys.setrecursionlimit(limit)
    # What ends the thread may meet it on its last steps, behind its outcome or before that.
    result, error = outcome[0] if outcome else (None, interrupted)
    if error is not None:
        raise error
    return result


def _finish(thread):
    """Wait until a thread has ended; what interrupts the wait ends it, and is returned."""
    interrupted = None
    while thread.ident is not None and thread.is_alive():
        try:
            thread.join()
        except BaseException as error:
            interrupted = error
            raised = ctypes.py_object(type(error))
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), raised)
    return interrupted


def is_here():
    """Return whether the caller was called by ``call``."""
    return threading.current_thread() is not threading.main_thread()
