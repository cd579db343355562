"""What libraries keep for the user in an object of their own, by calls that name no such object.

``pyro.param`` inside of a model makes a parameter, and the step of an optimizer changes it.
"""

from __future__ import annotations

import importlib
import sys

from .table import Table, here

#: What a person calls it -> the module that has the object, and its name there.
_ROWS = {"parameters of pyro": ("pyro.poutine.runtime", "_PYRO_PARAM_STORE")}


class Stores(Table):
    """The attributes of such objects, a row each."""

    name = "what libraries keep of yours"

    def has(self, key):
        """Return whether a key is of this table."""
        return key in _ROWS

    def found(self):
        """Return name -> attributes, where they hold anything."""
        held = {name: vars(_object(*row)) for name, row in _ROWS.items() if row[0] in sys.modules}
        return {name: own for name, own in held.items() if any(own.values())}

    def put(self, values):
        """Give the objects these attributes; the others are emptied."""
        for name, own in here(values).items():
            vars(_object(*_ROWS[name])).update(own)
        for name in self.found().keys() - values.keys():
            for held in vars(_object(*_ROWS[name])).values():
                held.clear()


def _object(module, name):
    return getattr(importlib.import_module(module), name)
