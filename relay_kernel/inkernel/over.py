"""Generators and coroutines that have ended: nothing of their code is left to run."""

from __future__ import annotations

import types

from . import rebuild

_FRAMES = {
    types.GeneratorType: "gi_frame",
    types.CoroutineType: "cr_frame",
    types.AsyncGeneratorType: "ag_frame",
}


def is_over(thing):
    """Return whether ``thing`` is one that has ended."""
    frame = _FRAMES.get(type(thing))
    return frame is not None and getattr(thing, frame) is None


def reduce_ended(pickler, thing):
    """Reduce one that has ended to another that has; no other travels."""
    if not is_over(thing):
        return NotImplemented
    return rebuild.ended, (type(thing).__name__, thing.__name__, thing.__qualname__)


REDUCERS = dict.fromkeys(_FRAMES, reduce_ended)
