"""What threads use together, and what each keeps for itself: made anew where none is at work.

A lock that nobody holds is like any other. While threads of the user run, one of them may be about
to take it, and the copy would be of no use to it: then whatever has a lock stays with them.
"""

from __future__ import annotations

import _thread
import contextvars
import operator
import threading

from . import deep, rebuild
from .reasons import StaysError

_HELD = "a lock that is held belongs to the threads of one process"
_AT_WORK = "threads of yours run, which may use it"
_PENDING = "what it waits for is made in one process"


def _reduce_lock(pickler, lock):
    # Only the repr of a reentrant lock tells without taking it.
    if not repr(lock).startswith("<unlocked "):
        raise StaysError(lock, _HELD)
    _stay_with_threads(pickler, lock)
    return (threading.RLock if type(lock) is _RLOCK else threading.Lock), ()


def _reduce_local(pickler, local):
    """Reduce a ``threading.local`` to what the thread of the cells keeps in it."""
    _stay_with_threads(pickler, local)
    if deep.is_here():
        raise StaysError(local, "it is nested too deeply")
    return threading.local, (), dict(vars(local)), None, None, rebuild.set_attributes


def _stay_with_threads(pickler, thing):
    if pickler.state.at_work:
        raise StaysError(thing, _AT_WORK)


def _reduce_variable(pickler, variable):
    """Reduce a ContextVar to its default and to what it is set to for cells."""
    default = contextvars.Context().run(_get, variable)
    now = _get(variable)
    args = variable.name, default
    if len(now) == len(default) and all(map(operator.is_, now, default)):
        return rebuild.context_variable, args
    return rebuild.context_variable, args, now, None, None, rebuild.set_context_variable


def _get(variable):
    """Return the value in a tuple; an empty one if there is none."""
    try:
        return (variable.get(),)
    except LookupError:
        return ()


def reduce_future(pickler, future):
    """Reduce a Future that is done; nobody would ever end the copy of another."""
    if not future.done():
        raise StaysError(future, _PENDING)
    return NotImplemented


_RLOCK = type(threading.RLock())

#: Exact type -> reducer.
REDUCERS = {
    type(threading.Lock()): _reduce_lock,
    _RLOCK: _reduce_lock,
    _thread._local: _reduce_local,
    contextvars.ContextVar: _reduce_variable,
}
