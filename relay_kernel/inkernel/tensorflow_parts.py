"""Parts of TensorFlow that do not travel by its own rules, or not as they should.

What ``tf.function`` makes travels without its graphs, and the next call traces it anew. A graph
holds the variables that it was traced with, also those that the code finds by their name; a
snapshot that is put in place brings others. So the functions that stay as they are lose theirs too.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle

_DISTRIBUTE = "tensorflow.python.distribute.distribute_lib"
#: The way of running on one device, of which there is one.
DEFAULT_STRATEGY = (_DISTRIBUTE, "_DefaultDistributionStrategy")
FUNCTION = ("tensorflow.python.eager.polymorphic_function.polymorphic_function", "Function")


def reduce_function(pickler, function):
    """Reduce a function to one that was never called."""
    pickler.state.traced.add(function)
    return function._clone(None).__reduce_ex__(pickle.HIGHEST_PROTOCOL)


def reduce_default_strategy(pickler, strategy):
    """Reduce the way of running on one device to what stands for it there."""
    return default_strategy, ()


def default_strategy():
    """Return that of this kernel."""
    # It is complete only behind the whole library.
    importlib.import_module("tensorflow")
    return importlib.import_module(_DISTRIBUTE)._get_default_strategy()


def forget_graphs(state):
    """Have all functions that were packed here be traced anew; never raises."""
    for function in list(state.traced):
        with contextlib.suppress(Exception):
            vars(function).update(vars(function._clone(None)))
