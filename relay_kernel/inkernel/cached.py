"""Functions under ``functools.lru_cache``, with what they have in their cache.

Python has no way to read such a cache, but the collector is told of all that is in it, in order,
the least recently used first.
"""

from __future__ import annotations

import functools
import gc
import os
import types
import weakref

from . import rebuild
from .reducers import function_state, importable, is_found_by_name

KIND = type(functools.lru_cache(maxsize=None)(os.getpid))
_ELEMENT = "_lru_list_elem"


def reduce_lru_cache(pickler, wrapper, other):
    """Reduce a function under lru_cache; the function and the cache may refer to the wrapper.

    Args:
        pickler: at work.
        wrapper: the function as it is called.
        other: another pickler, which tries whether something can travel.
    """
    if is_found_by_name(wrapper):
        return NotImplemented
    function, state = wrapper.__wrapped__, None
    if type(function) is types.FunctionType and not importable(pickler, function):
        pickler.bare_functions.add(id(function))
        state = function_state(pickler, function)
    attributes = {k: v for k, v in vars(wrapper).items() if k != "cache_parameters"}
    attributes["__wrapped__"] = function
    entries = pickler.state.caches.entries(wrapper, other)
    return (
        rebuild.make_lru_cache,
        (wrapper.cache_parameters(),),
        (attributes, function, state, entries),
        None,
        None,
        rebuild.set_lru_cache,
    )


def entries_of(wrapper):
    """Return ((arguments, keywords), result) of what is cached; nothing if that cannot be told."""
    found = gc.get_referents(wrapper)
    if found and found[0] is KIND:
        # From Python 3.10 on.
        del found[0]
    size, parameters = wrapper.cache_info().currsize, wrapper.cache_parameters()
    if parameters["maxsize"] is None:
        rest = found
        caches = [each for each in found if type(each) is dict and each is not vars(wrapper)]
        pairs = list(caches[0].items()) if len(caches) == 1 else []
    else:
        step = 3 if len(found) > 2 and getattr(found[2], "__name__", "") == _ELEMENT else 2
        used, rest = found[: size * step], found[size * step :]
        pairs = [(used[at], used[at + 1]) for at in range(0, len(used) - 1, step)]
    if len(pairs) != size:
        return []
    mark = next((each for each in rest if type(each) is object), None)
    entries = [(_arguments(key, mark, parameters["typed"]), result) for key, result in pairs]
    return [(arguments, result) for arguments, result in entries if arguments is not None]


def _arguments(key, mark, typed):
    """Return (arguments, keywords) for a key as ``lru_cache`` makes it of them; None if unknown."""
    if type(key) is not tuple:
        return (key,), {}
    at = next((at for at, part in enumerate(key) if type(part) is object), None)
    if at is None:
        return (key[: len(key) // 2] if typed else key), {}
    if key[at] is not mark:
        # It is the mark of Python 3.9, or an argument.
        return None
    rest = key[at + 1 :]
    if typed:
        # Behind the keywords are the types of all values.
        rest = rest[: (len(rest) - at) * 2 // 3]
    return key[:at], {rest[at]: rest[at + 1] for at in range(0, len(rest) - 1, 2)}


class Caches:
    """What of the caches of a kernel can travel."""

    def __init__(self):
        #: wrapper -> (its misses, whether all of its entries could be packed then)
        self._tried = weakref.WeakKeyDictionary()

    def entries(self, wrapper, pickler):
        """Return the entries of a cache that can travel: any other can be computed again.

        Args:
            wrapper: the function as it is called.
            pickler: not the one at work.
        """
        entries = entries_of(wrapper)
        if not entries:
            return entries
        misses = wrapper.cache_info().misses
        before, whole = self._tried.get(wrapper, (None, False))
        if before != misses:
            whole = _can_travel(entries, pickler)
            self._tried[wrapper] = misses, whole
        return entries if whole else [each for each in entries if _can_travel(each, pickler)]


def _can_travel(value, pickler):
    try:
        pickler.pack(value)
    except Exception:
        return False
    return True
