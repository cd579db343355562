"""Classes of the notebook that JAX takes apart, as a base class or a decorator had it told.

``jax.jit`` would take an instance for something that it does not know. What a cell registers by a
call of its own is made again as a call: see ``setups``.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys

from .table import Table, here

_TREES = "jax._src.tree_util"
#: What libraries note of such a class when it is made.
_NOTES = (
    ("flax.serialization", "_STATE_DICT_REGISTRY"),
    ("equinox._module._module", "_has_dataclass_init"),
    ("equinox._module._module", "_module_info"),
)


class Pytrees(Table):
    """The classes that have a name in the notebook."""

    name = "pytree "

    def found(self):
        """Return ``pytree NAME`` -> (class, how it is taken apart and made, notes of libraries)."""
        known = getattr(sys.modules.get(_TREES), "_registry", None)
        if known is None:
            return {}
        # By its id: a class may have a metaclass of the user's, who says what is equal.
        ways = {id(cls): way for cls, way in known.items()}
        return {
            self.name + name: (each, tuple(ways[id(each)]), _notes(each))
            for name, each in self.state.user_ns.copy().items()
            if id(each) in ways and self.is_users(each)
        }

    def put(self, values):
        """Tell JAX and the libraries of these; what they were told stays told."""
        for cls, functions, notes in here(values).values():
            for (module, registry), note in notes.items():
                getattr(importlib.import_module(module), registry)[cls] = note
            if cls not in importlib.import_module(_TREES)._registry:
                _register(cls, functions)


def _notes(cls):
    found = {}
    for module, registry in _NOTES:
        notes = getattr(sys.modules.get(module), registry, {})
        if cls in notes:
            found[module, registry] = notes[cls]
    return found


def _register(cls, functions):
    trees = importlib.import_module("jax").tree_util
    if "_flax_dataclass" not in vars(cls):
        trees.register_pytree_node(cls, *functions)
        return
    # In this way the paths to its leaves have the names of its fields.
    fields = {True: [], False: []}
    for field in dataclasses.fields(cls):
        fields[bool(field.metadata.get("pytree_node", True))].append(field.name)
    trees.register_dataclass(cls, fields[True], fields[False])
