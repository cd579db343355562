"""Which objects are the same for good, and of which it matters that there is only one."""

from __future__ import annotations

import builtins
import logging
import operator
import re
import sys
import types
from enum import Enum

from .classes import ClassRoot
from .names import ATOMS
from .reducers import home_of, is_found_by_name
from .tombstone import LeftBehind

#: Copies of these are as good as the one, though they may hold others that are not.
_VALUES = (
    *(str, bytes, tuple, frozenset, int, float, complex, range, slice, type, Enum, LeftBehind),
    *(types.CodeType, types.BuiltinFunctionType, types.ModuleType, types.MethodType),
    *(types.MethodDescriptorType, types.WrapperDescriptorType, types.GetSetDescriptorType),
    *(types.MemberDescriptorType, property, staticmethod, classmethod, types.GenericAlias),
    *(ClassRoot, logging.Logger),
)
#: Those of which a class of the notebook may have instances with attributes, which change.
_PLAIN = (str, bytes, tuple, frozenset, int, float, complex)
#: Modules whose types are values (dates, paths, patterns, type hints).
_VALUE_MODULES = frozenset(
    [
        "datetime",
        "decimal",
        "fractions",
        "uuid",
        "pathlib",
        "pathlib._local",
        "re",
        "ipaddress",
        "zoneinfo",
        "dataclasses",
        "numpy.dtypes",
        "_relay_inkernel.rebuild",
    ]
)
_ONE_OF_A_KIND = ("NewType", "ParamSpec", "TypeVarTuple")
_INDEX = "pandas.core.indexes."
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)


def is_shared(thing):
    """Return whether two holders of ``thing`` would notice if each had a copy."""
    if isinstance(thing, _VALUES):
        return isinstance(thing, _PLAIN) and _has_attributes(thing)
    kind = type(thing)
    module = kind.__module__
    if module == "typing":
        return kind.__name__ in _ONE_OF_A_KIND
    if kind is re.Match:
        return True
    if module in _VALUE_MODULES or (isinstance(module, str) and module.startswith(_INDEX)):
        return False
    if kind is types.FunctionType:
        return not is_found_by_name(thing)
    numpy = sys.modules.get("numpy")
    return not (hasattr(numpy, "generic") and isinstance(thing, (numpy.generic, numpy.dtype)))


def _has_attributes(thing):
    kind = type(thing)
    return (
        kind.__dictoffset__ != 0 and kind.__module__ == "__main__" and not isinstance(thing, Enum)
    )


def proof_of(value):
    """Return parts such that ``value`` cannot have changed while they are the same objects.

    None for what has no such parts: it must be packed to be known. Annotations are not
    looked at, because since Python 3.14 looking runs them.
    """
    kind = type(value)
    if kind is types.FunctionType:
        return _of_function(value)
    if kind is ClassRoot and not value.stones:
        return _of_class(value.cls)
    return None


def _of_class(cls):
    parts = [cls, cls.__name__, cls.__qualname__, cls.__bases__]
    for name, value in vars(cls).items():
        own = _of_attribute(value)
        if own is None:
            return None
        parts.append(name)
        parts.extend(own)
    return tuple(parts)


def _of_attribute(value):
    kind = type(value)
    if kind in ATOMS or kind in _DESCRIPTORS:
        return (value,)
    if kind is types.FunctionType:
        return _of_function(value)
    if kind in (staticmethod, classmethod):
        return _of_functions(value, value.__func__)
    if kind is property:
        return _of_functions(value, value.fget, value.fset, value.fdel)
    if kind is tuple and all(type(part) in ATOMS for part in value):
        return (value,)
    return None


def _of_functions(holder, *functions):
    parts = [holder]
    for function in functions:
        if function is None:
            continue
        own = _of_function(function) if type(function) is types.FunctionType else None
        if own is None:
            return None
        parts.extend(own)
    return tuple(parts)


def _of_function(function):
    if home_of(function) is None:
        return None
    if function.__dict__ or function.__kwdefaults__:
        return None
    defaults = function.__defaults__
    if defaults is not None and any(type(value) not in ATOMS for value in defaults):
        return None
    cells = _of_cells(function.__closure__)
    if cells is None:
        return None
    return (
        *(function, function.__code__, defaults, function.__name__, function.__qualname__),
        *(function.__doc__, function.__module__, *cells),
        # Where its module was reloaded, it is itself no more what travels by that name.
        is_found_by_name(function),
    )


def _of_cells(closure):
    parts = []
    for cell in closure or ():
        try:
            content = cell.cell_contents
        except ValueError:
            return None
        if type(content) not in ATOMS and not isinstance(content, type):
            return None
        parts += (cell, content)
    return parts


def same(proof, other):
    """Return whether two proofs have the same objects."""
    if proof is None or other is None or len(proof) != len(other):
        return False
    return all(builtins.map(operator.is_, proof, other))


def functions_of(proof):
    """Return the functions of a proof: others may hold them too."""
    return [part for part in proof if type(part) is types.FunctionType]
