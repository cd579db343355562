"""Models, layers, optimizers and metrics of Keras 3: packed as the objects that they are.

By its own rules Keras packs each as the file that it would save. A layer that is in a variable as
well, or in a second model, becomes one that belongs to neither: ``base.trainable = False`` would
change nothing any more. And an optimizer that a loop of the user's own calls forgets its steps.
"""

from __future__ import annotations

import collections
import importlib

from . import rebuild

#: Base class of all that Keras packs by itself.
SAVEABLE = ("keras.src.saving.keras_saveable", "KerasSaveable")
_TRACKING = "keras.src.utils.tracking"
TRACKER = (_TRACKING, "Tracker")
#: Lists, dicts and sets in which Keras looks for variables and layers.
TRACKED = [(_TRACKING, f"Tracked{kind}") for kind in ("List", "Dict", "OrderedDict", "Set")]
#: What a model has compiled of itself; where there is none, it is compiled when it is needed.
_COMPILED = ("train_function", "test_function", "predict_function")
_BETWEEN = ("_inbound_nodes", "_outbound_nodes")
#: What has the ids of objects in it: see ``set_saveable``.
_NODES, _INDICES, _IDS = "_nodes", "_trainable_variables_indices", "stored_ids"


def reduce_saveable(pickler, thing):
    """Reduce anything of a model to its attributes."""
    state = dict(vars(thing))
    state.update((name, None) for name in _COMPILED if name in state)
    if state.get("_jax_state_synced"):
        # What training went through, copied to the variables; JAX has deleted some of it.
        state["_jax_state"] = None
    if _NODES in state and "_nodes_by_depth" in state:
        nodes = [node for level in state["_nodes_by_depth"].values() for node in level]
        places = [(node.operation, node.operation._inbound_nodes.index(node)) for node in nodes]
        state[_NODES] = places
    if _INDICES in state:
        state[_INDICES] = None
    between = {name: state.pop(name) for name in _BETWEEN if name in state}
    if between:
        pickler.later.append(Between(thing, between))
    return rebuild.bare, (type(thing),), state, None, None, set_saveable


class Between:
    """What leads from one layer to the next. It is packed behind all: models are long.

    Args:
        layer: that it leads from.
        state: its attributes of that kind.
    """

    def __init__(self, layer, state):
        self._packed = layer, state

    def __reduce__(self):
        return rebuild.set_attributes, self._packed


def set_saveable(thing, state):
    """Give it its attributes, and the ids that objects have here."""
    if _NODES in state and "_nodes_by_depth" in state:
        key_of = importlib.import_module("keras.src.ops.function").make_node_key
        state[_NODES] = {key_of(*place) for place in state[_NODES]}
    vars(thing).update(state)
    if _INDICES in state:
        variables = enumerate(state["_trainable_variables"])
        vars(thing)[_INDICES] = {thing._var_key(each): number for number, each in variables}


def reduce_tracker(pickler, tracker):
    """Reduce what finds variables and layers among the attributes of a layer."""
    state = {name: value for name, value in vars(tracker).items() if name != _IDS}
    return rebuild.bare, (type(tracker),), state, None, None, set_tracker


def set_tracker(tracker, state):
    """Give it its attributes, and the ids of what it has found."""
    vars(tracker).update(state)
    stores = tracker.config.items()
    vars(tracker)[_IDS] = {name: set(map(id, store)) for name, (_, store) in stores}


def reduce_tracked(pickler, thing):
    """Reduce a list, dict or set to its items, which are found already."""
    items = list(dict.items(thing) if isinstance(thing, dict) else thing)
    state = items, dict(vars(thing))
    return (
        rebuild.bare,
        (type(thing), _base_of(thing)),
        state,
        None,
        None,
        set_tracked,
    )


def set_tracked(thing, state):
    """Give it its items, without looking at them."""
    items, attributes = state
    kind = _base_of(thing)
    (kind.extend if kind is list else kind.update)(thing, items)
    vars(thing).update(attributes)


def _base_of(thing):
    kinds = (list, collections.OrderedDict, dict, set)
    return next(kind for kind in kinds if isinstance(thing, kind))
