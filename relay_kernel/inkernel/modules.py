"""Modules of the user's own, beside the notebook: their code is a file, their data is state."""

from __future__ import annotations

import os
import sys
import sysconfig
import types

from .names import ATOMS

#: Exact types that are data wherever they are met.
_PLAIN = (list, dict, set, bytearray)
CODE = (types.FunctionType, type, types.ModuleType, types.BuiltinFunctionType)


class ModuleRoot:
    """Stands for the data of a module in a dump, as against a mention of the module.

    Args:
        name: of the module.
        module: the module.
        modules: knows which attributes count.
    """

    def __init__(self, name, module, modules):
        self.name = name
        self.module = module
        self.modules = modules

    def attributes(self, pickler):
        """Return attribute -> value of the module's data.

        Args:
            pickler: tries whether a value can be packed; another than the one at work.
        """
        return self.modules.data(self.name, self.module, pickler)


class Modules:
    """The user's modules: imported by the notebook, from files that no package manager put there.

    Values and plain containers always count. Other objects count once they differ from
    what they were when first seen, because import makes them anew on the other side and code
    may compare them by identity.
    """

    def __init__(self):
        self._before = frozenset(sys.modules)
        self._known = {}
        #: ``sys.modules`` as it was last time, and the roots that were found in it
        self._seen, self._roots = {}, {}
        self._first = {}
        #: module -> attributes that a snapshot once brought, which count from then on
        self._moved = {}
        self._installed = _installed_folders()

    def roots(self):
        """Return root -> module."""
        if sys.modules != self._seen:
            self._seen = sys.modules.copy()
            self._roots = self._look()
        return self._roots

    def _look(self):
        found = {}
        for name in sys.modules.keys() - self._before:
            module = sys.modules.get(name)
            known = self._known.get(name)
            if known is None or known[0] is not module:
                known = self._known[name] = (module, self.is_users(name, module))
            if known[1]:
                found["m", name] = module
        return found

    def owns(self, name):
        """Return whether ``name`` is a module of the user that is imported."""
        module = sys.modules.get(name)
        return module is not None and name not in self._before and self.is_users(name, module)

    def is_users(self, name, module):
        """Return whether a module is the user's own."""
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or not path.endswith(".py") or name.startswith("_relay"):
            return False
        path = os.path.abspath(path)
        if "site-packages" in path or "dist-packages" in path:
            return False
        return not path.startswith(self._installed)

    def data(self, name, module, pickler):
        """Return the attributes of a module that travel."""
        return {
            attribute: value
            for attribute, value in vars(module).copy().items()
            if not attribute.startswith("__") and self._counts(name, attribute, value, pickler)
        }

    def _counts(self, name, attribute, value, pickler):
        kind = type(value)
        if isinstance(value, CODE):
            return False
        if kind in ATOMS:
            return True
        try:
            digests = pickler.pack((value,)).marks
        except Exception:
            return False
        if kind in _PLAIN or attribute in self._moved.get(name, ()):
            return True
        return self._first.setdefault((name, attribute), digests) != digests

    def put(self, name, attributes):
        """Set the data of a module of this kernel."""
        self._moved.setdefault(name, set()).update(attributes)
        vars(sys.modules[name]).update(attributes)


def _installed_folders():
    folders = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix}
    return tuple(folder.rstrip(os.sep) + os.sep for folder in folders if folder)
