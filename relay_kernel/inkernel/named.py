"""Objects that a module of a library has under a name: they travel by that name.

``from matplotlib import rcParams``, ``from mpmath import mp``, a ``_MISSING = object()`` that code
compares by identity. A copy would be another object on the other side, and what a cell did to it
would be done to nothing. Classes, functions and modules are found by their names without this.
"""

from __future__ import annotations

import ast
import functools
import logging
import re
import sys
import types

from . import modules, rebuild
from .names import ATOMS

_CONTAINERS = (list, dict, set)
#: Copies of these are as good, or they are found by name anyway.
_AS_GOOD = (
    *(type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType),
    *(tuple, frozenset, *ATOMS - {type(None)}, re.Pattern, logging.Logger),
)
_NOT_OF_LIBRARIES = re.compile(r"builtins|_relay_|relay_kernel|IPython|ipykernel")
#: Of these, a section of the context carries what cells changed.
_IN_CONTEXT = re.compile(
    r"(os|sys|warnings|linecache|pandas|jax|numpy|random|matplotlib\.(rc|cm|_cm|pyplot|colormaps))\b"
    r"|matplotlib\.rcParams"
)


class Named:
    """The objects that modules of libraries have under a name, as importing them makes them.

    Args:
        state: the kernel.
    """

    def __init__(self, state):
        self._state = state
        self._looked = {}
        #: id -> (module, attribute): whoever asks looks whether that is still so
        self.ids = {}
        #: exact types of these
        self.kinds = set()
        self._first = {}

    def look(self):
        """Take in the modules that were imported since last time."""
        if sys.modules == self._looked:
            return
        for name, module in sys.modules.copy().items():
            if self._looked.get(name) is not module and self._is_librarys(name, module):
                self._take_in(name, module)
        self._looked = sys.modules.copy()

    def _is_librarys(self, name, module):
        # One that was not imported by this name cannot be imported elsewhere.
        return (
            isinstance(module, types.ModuleType)
            and getattr(vars(module).get("__spec__"), "name", None) == name
            and not _NOT_OF_LIBRARIES.match(name)
            and not self._state.modules.is_users(name, module)
        )

    def _take_in(self, name, module):
        for attribute, value in list(vars(module).items()):
            kind = type(value)
            if _is_told_apart(kind) and not attribute.startswith("__"):
                self.kinds.add(kind)
                if self.place(value) is None:
                    self.ids[id(value)] = name, attribute

    def find(self, thing):
        """Return (module, attribute) under which other kernels find ``thing``, or None."""
        place = self.place(thing)
        if place is None or not _is_made(*place) or self._state.registered.sets(*place):
            return None
        return place

    def place(self, thing):
        """Return (module, attribute) of a library that has ``thing`` now, or None."""
        place = self.ids.get(id(thing))
        if place is None:
            return None
        module = sys.modules.get(place[0])
        return place if getattr(module, "__dict__", {}).get(place[1]) is thing else None

    def root_of(self, thing):
        """Return what stands in a dump for ``thing``, the value of a name of the user, or None."""
        return None if self.find(thing) is None else self.stand_in(thing)

    def stand_in(self, thing):
        """Return what stands for ``thing`` wherever a library has it, made by import or not."""
        place = self.place(thing)
        return place and NamedRoot(thing, *place, self)

    def always_says(self, root):
        """Say what ``root`` holds from now on, as nobody knows what it held at first."""
        self._first[root.module, root.attribute] = None

    def is_in_context(self, place):
        """Return whether a section of the context carries what cells do to an object."""
        return _IN_CONTEXT.match(".".join(place)) is not None

    def changes(self, root):
        """Return what ``root`` holds, if that is not what it held when this was first asked."""
        place = root.module, root.attribute
        if self.is_in_context(place):
            return None
        try:
            content = _content(root.thing)
            digests = content and self._state.marks_of(content)
        except Exception:
            # What cannot be packed is found by its name all the same, as its library made it.
            return None
        if self._first.setdefault(place, digests) == digests:
            return None
        # It may be changed back, which is to be said, too.
        self._first[place] = None
        return content

    def put(self, thing, content):
        """Give ``thing`` what it holds elsewhere; from now on that is said of it each time."""
        kind, attributes, items, pairs = content
        if type(thing) is not kind:
            thing.__class__ = kind
        if attributes is not None:
            set_state = getattr(thing, "__setstate__", None)
            set_state(attributes) if set_state else thing.__dict__.update(attributes)
        if issubclass(kind, dict):
            dict.clear(thing)
            dict.update(thing, pairs)
        elif hasattr(kind, "clear"):
            thing.clear()
            thing.update(items) if issubclass(kind, set) else thing.extend(items)
        self._first[self.place(thing)] = None


class NamedRoot:
    """Stands for such an object in a dump, with what cells changed of it.

    Args:
        thing: the object.
        module: that has it.
        attribute: under which.
        named: knows what it was like at first.
    """

    def __init__(self, thing, module, attribute, named):
        self.thing = thing
        self.module = module
        self.attribute = attribute
        self.named = named

    def reduced(self):
        """Return what ``reducer_override`` may return."""
        place = self.module, self.attribute
        content = self.named.changes(self)
        if content is None:
            return rebuild.of_library, place
        return rebuild.of_library, place, content, None, None, rebuild.fill_of_library


@functools.lru_cache(maxsize=None)
def _is_told_apart(kind):
    """Return whether it matters which object of a type it is, beside what it holds."""
    if kind in _CONTAINERS:
        return True
    return not (
        issubclass(kind, _AS_GOOD) or kind.__module__ == "typing" or hasattr(kind, "__array__")
    )


def _content(thing):
    """Return (class, attributes, items, pairs) of what is packed by the common rules, or None."""
    if type(thing) in _CONTAINERS:
        pairs = dict(thing) if type(thing) is dict else {}
        return type(thing), None, [] if pairs else list(thing), pairs
    make, args, *rest = thing.__reduce_ex__(5)
    attributes, items, pairs = (*rest, None, None, None)[:3]
    if getattr(make, "__name__", "") != "__newobj__" or args != (type(thing),):
        return None
    if not isinstance(attributes, (dict, type(None))):
        return None
    return type(thing), attributes, list(items or ()), dict(pairs or ())


def _is_made(name, attribute):
    """Return whether importing a module makes what it has under a name, and nothing else does."""
    made, exchanged = _read(sys.modules[name])
    return (made is None or attribute in made) and attribute not in exchanged


@functools.lru_cache(maxsize=None)
def _read(module):
    """Return what importing a module makes, None for all; and the names its functions set."""
    source = modules.source_of(module)
    if source is None:
        return None, ()
    exchanged = set()
    with_global = source if "global " in source else ""
    try:
        for node in ast.walk(ast.parse(with_global)):
            if isinstance(node, ast.Global):
                exchanged.update(node.names)
    except (SyntaxError, ValueError, RecursionError):
        return (), ()
    return modules.made_by(source), exchanged
