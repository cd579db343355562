"""Modules of the user's own, beside the notebook: their code is a file, their data is state.

Data is what a module has as attributes, and what its classes and functions have.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sys
import sysconfig
import types
from enum import EnumMeta

from .names import ATOMS

#: Exact types that are data wherever they are met.
_PLAIN = (list, dict, set, bytearray)
#: What classes have that the interpreter keeps for itself.
_OF_MACHINERY = frozenset(("_abc_impl",))
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

    Values and plain containers always count, and objects that import does not make. Others count
    once they differ from what they were when first seen, because import makes them anew on the
    other side and code may compare them by identity.

    Args:
        named: tells of what a library has the one object.
    """

    def __init__(self, named):
        self._named = named
        self._before = frozenset(sys.modules)
        self._known = {}
        #: ``sys.modules`` as it was last time, and the roots that were found in it
        self._seen, self._roots = {}, {}
        self._first = {}
        #: name -> (spec of its import, what that makes)
        self._made = {}
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
        """Return attribute, or ``Class.attribute``, -> value of what travels."""
        found = {
            path + attribute: value
            for path, holder in _holders(name, module)
            for attribute, value in vars(holder).copy().items()
            if not attribute.startswith("__")
            and attribute not in _OF_MACHINERY
            and self._counts(name, path + attribute, value, pickler)
        }
        for path, defaults in _mutable_defaults(name, module):
            if self._is_changed(name, path, defaults, pickler):
                found[path] = defaults
        return found

    def _is_changed(self, name, path, value, pickler):
        """Return whether a value is not what it was when first seen; None: it cannot be packed."""
        try:
            digests = pickler.pack((value,)).marks
        except Exception:
            return None
        known = path in self._moved.get(name, ())
        return self._first.setdefault((name, path), digests) != digests or known

    def _counts(self, name, attribute, value, pickler):
        kind = type(value)
        if kind in ATOMS:
            return not isinstance(value, CODE)
        if self._named(value) is not None:
            return False
        if is_code(value):
            return False
        changed = self._is_changed(name, attribute, value, pickler)
        if changed is None:
            return False
        return changed or kind in _PLAIN or not self._is_made(name, attribute)

    def _is_made(self, name, path):
        """Return whether importing a module makes what it has under ``path``."""
        module, known = sys.modules[name], self._made.get(name)
        spec = getattr(module, "__spec__", None)
        if known is None or known[0] is not spec:
            known = self._made[name] = (spec, made_by(source_of(module)))
        return known[1] is None or path in known[1]

    def put(self, name, attributes):
        """Set the data of a module of this kernel."""
        self._moved.setdefault(name, set()).update(attributes)
        module = sys.modules[name]
        for path, value in attributes.items():
            place, _, attribute = path.rpartition(".")
            if not place:
                vars(module)[attribute] = value
                continue
            # A class may be another here, or have it for good (``_fields_`` of ctypes).
            with contextlib.suppress(AttributeError, TypeError):
                _set(_at(module, place), attribute, value)


def is_code(value):
    """Return whether an attribute is of the source of its class or module, and no data."""
    return isinstance(value, CODE) or hasattr(type(value), "__get__")


def _holders(name, module):
    """Yield ``""`` and the module, and ``Class.`` and each class and function that is of it."""
    yield "", module
    for attribute, value in vars(module).copy().items():
        yield from _inside(name, attribute, value)


def _inside(name, path, thing):
    kind = type(thing)
    if kind is types.FunctionType:
        if thing.__dict__ and thing.__module__ == name and thing.__qualname__ == path:
            yield f"{path}.", thing
    elif issubclass(kind, type) and thing.__module__ == name and thing.__qualname__ == path:
        if issubclass(kind, EnumMeta):
            return
        yield f"{path}.", thing
        for attribute, value in vars(thing).copy().items():
            if issubclass(type(value), type):
                yield from _inside(name, f"{path}.{attribute}", value)


def _mutable_defaults(name, module):
    """Yield ``function.__defaults__`` and these, where calls may change them (``to=[]``)."""
    for path, holder in _holders(name, module):
        for attribute, value in vars(holder).copy().items():
            if type(value) is types.FunctionType and value.__module__ == name:
                defaults = value.__defaults__ or ()
                if any(type(each) in _PLAIN for each in defaults):
                    yield f"{path}{attribute}.__defaults__", defaults


def source_of(module):
    """Return the source of a module, or None."""
    try:
        return module.__spec__.loader.get_source(module.__name__)
    except (AttributeError, ImportError, OSError):
        return None


def made_by(source):
    """Return the paths (``name``, ``Class.name``) that running ``source`` gives no mere constant.

    None: it is not to be told.
    """
    try:
        made = set(_made(ast.parse(source).body, ""))
    except (SyntaxError, TypeError, ValueError):
        return None
    return None if "*" in made else made


def _made(statements, path):
    for each in statements:
        if isinstance(each, (ast.Import, ast.ImportFrom)):
            yield from (path + (a.asname or a.name).partition(".")[0] for a in each.names)
        elif isinstance(each, ast.ClassDef):
            yield from _made(each.body, f"{path}{each.name}.")
        elif isinstance(each, (ast.Assign, ast.AnnAssign)):
            if not isinstance(each.value, (ast.Constant, type(None))):
                yield from (path + name for name in _stored(each))
        elif not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from (path + name for name in _stored(each))
            for block in ("body", "orelse", "finalbody"):
                yield from _made(getattr(each, block, ()), path)
            for handler in getattr(each, "handlers", ()):
                yield from _made(handler.body, path)


def _stored(statement):
    """Yield the names that a statement itself gives a value, not those of its blocks."""
    for each in ast.iter_child_nodes(statement):
        if not isinstance(each, (ast.stmt, ast.ExceptHandler)):
            for node in ast.walk(each):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def _at(module, path):
    found = module
    for part in path.split("."):
        found = vars(found).get(part)
    return found


def _set(holder, attribute, value):
    # Past what a metaclass may do on the way.
    if isinstance(holder, type):
        type.__setattr__(holder, attribute, value)
    else:
        setattr(holder, attribute, value)


def _installed_folders():
    folders = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix}
    return tuple(folder.rstrip(os.sep) + os.sep for folder in folders if folder)
