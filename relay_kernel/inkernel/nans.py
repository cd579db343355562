"""NaNs, of which it matters which one it is: ``x in [x]`` holds for the very same object alone.

Pickle writes a float as its number. So where there is a NaN in a pickle, it is packed once more,
each NaN by a name, which costs a call for every object.
"""

from __future__ import annotations

import importlib
import itertools
import math
import sys

from .superseded import only_in

#: How NaNs begin in a pickle: those of every platform, of either sign.
_PLUS, _MINUS = b"G\x7f\xf8\0\0\0\0\0\0", b"G\xff\xf8\0\0\0\0\0\0"
#: So many are told apart; a long list of them has one for each place, and nobody asks which.
_MOST = 1000
_OF_MATH = math.nan


def may_hold(data):
    """Return whether there may be a NaN in a part of a pickle."""
    return _PLUS in data or _MINUS in data


class Nans:
    """The NaNs of a kernel by name: ``math.nan`` and ``numpy.nan``, and a token for others.

    Args:
        kernel_id: of this kernel, whose tokens no other one gives.
    """

    def __init__(self, kernel_id):
        self._prefix = kernel_id[:12]
        self._serial = itertools.count(1)
        self._names = {}
        self._known = {}

    def name(self, nan):
        """Return the name of a NaN; None if it has none and there are too many."""
        if nan is _OF_MATH:
            return "math.nan"
        if nan is getattr(sys.modules.get("numpy"), "nan", None):
            return "numpy.nan"
        name = self._names.get(id(nan))
        if name is None and len(self._names) < _MOST:
            name = f"{self._prefix}.{next(self._serial)}"
            self._adopt(name, nan)
        return name

    def get(self, name):
        """Return the NaN with a name that this kernel or another gave it."""
        if name == "math.nan":
            return _OF_MATH
        if name == "numpy.nan":
            return _numpys()
        nan = self._known.get(name)
        if nan is None:
            nan = float("nan")
            self._adopt(name, nan)
        return nan

    def forget(self):
        """Forget those that nobody else has any more."""
        for name in only_in(self._known):
            del self._known[name]
        self._names = {id(nan): name for name, nan in self._known.items()}

    def _adopt(self, name, nan):
        # Kept, so that its id stays its own.
        self._names[id(nan)] = name
        self._known[name] = nan


def _numpys():
    try:
        return importlib.import_module("numpy").nan
    except ImportError:
        return _OF_MATH
