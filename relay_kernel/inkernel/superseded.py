"""Copies that make way for newer ones: the user has not deleted them, so nothing hears of it.

Where a class of the user has a ``__del__``, which may remove a file or count, it would run on each
kernel for each copy that a snapshot takes the place of; likewise what a weak reference calls.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import weakref

_REFERENCES = frozenset((id(weakref.ref), id(weakref.WeakMethod)))


@contextlib.contextmanager
def in_silence(state):
    """Keep code of the user from running because of what is superseded within the block."""
    classes = _with_last_words(state)
    kinds = {id(kind) for cls in classes for kind in _kinds_of(cls)}
    # By its type alone: whatever else is asked of an object may be answered by code of the user.
    before = _objects_of(kinds)
    # References go first, with what holds them.
    before += _targets(state)
    finalizers = _finalizers()
    try:
        yield
    finally:
        for each in only_in(finalizers):
            each.detach()
        finalizers.clear()
        if before:
            with _without_last_words(classes):
                before.clear()
                # Those that refer to each other.
                gc.collect()


def _objects_of(kinds):
    return [thing for thing in gc.get_objects() if id(type(thing)) in kinds] if kinds else []


def _targets(state):
    """Return what weak references point to that call something."""
    if not state.callbacks:
        return []
    references = [each for each in _objects_of(_REFERENCES) if each.__callback__ is not None]
    return [target for each in references if (target := each()) is not None]


def _finalizers():
    """Return finalizer -> what it waits for the end of."""
    found = [(each, each.peek()) for each in list(getattr(weakref.finalize, "_registry", ()))]
    return {each: parts[0] for each, parts in found if parts}


def only_in(table):
    """Return the keys of those values that nothing else refers to."""
    # How many references a loop and a call add depends on the Python.
    least = _references({None: object()})[None]
    return [key for key, count in _references(table).items() if count <= least]


def _references(table):
    counts = {}
    for key, value in table.items():
        counts[key] = sys.getrefcount(value)
    return counts


@contextlib.contextmanager
def _without_last_words(classes):
    methods = [(cls, vars(cls)["__del__"]) for cls in classes if "__del__" in vars(cls)]
    for cls, _ in methods:
        type.__delattr__(cls, "__del__")
    try:
        yield
    finally:
        for cls, method in methods:
            type.__setattr__(cls, "__del__", method)


def _with_last_words(state):
    """Return the classes of the notebook and of the user's modules that have a ``__del__``."""
    found = state.classes.all()
    for module in state.modules.roots().values():
        found += [each for each in vars(module).copy().values() if issubclass(type(each), type)]
    return list({id(cls): cls for cls in found if "__del__" in vars(cls)}.values())


def _kinds_of(cls):
    """Yield a class and all that inherit from it."""
    yield cls
    for each in type.__subclasses__(cls):
        yield from _kinds_of(each)
