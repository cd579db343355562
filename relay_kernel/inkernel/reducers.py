"""How single kinds of objects are taken apart: what pickle cannot, or does not do faithfully.

Each function takes the pickler and the object, and returns what ``reducer_override`` may return.
"""

from __future__ import annotations

import ast
import contextlib
import copyreg
import functools
import gc
import itertools
import pickle
import re
import struct
import sys
import types
import typing
import weakref

from . import raised, rebuild
from .reasons import CannotTravelError, StaysError, kind_of
from .tombstone import LeftBehind, Parked, facts

#: Attributes of a function that are not in its ``__dict__`` and not arguments of its maker.
_SLOTS = ("__qualname__", "__kwdefaults__", "__defaults__", "__module__", "__doc__")
#: Where the file name is among the arguments of ``CodeType``, in every Python from 3.8 on.
_FILENAME = 10


def importable(pickler, thing):
    """Return whether a function or class travels as the name of its module and its own."""
    return pickler.cloudpickle._should_pickle_by_reference(thing)


def home_of(function):
    """Return the name of the module whose namespace a function runs in.

    None: it is a dict of its own, which ``exec`` or ``%run`` was given.
    """
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return name if module is not None and vars(module) is function.__globals__ else None


def reduce_function(pickler, function):
    """Reduce a function to code, name and cells; it uses the receiver's globals."""
    if importable(pickler, function):
        return NotImplemented
    home = None
    if function.__globals__ is not pickler.user_ns:
        home = home_of(function)
        if home is None:
            home = function.__globals__
            if id(home) in pickler.state.narrow:
                return _reduce_foreign(pickler, function)
            pickler.foreign[id(home)] = home
    args = (home, function.__code__, function.__name__, function.__closure__)
    if id(function) in pickler.bare_functions:
        return rebuild.make_function, args
    state = function_state(pickler, function)
    return rebuild.make_function, args, state, None, None, rebuild.set_function


def function_state(pickler, function):
    """Return what ``rebuild.set_function`` takes; the cells become bare ones."""
    slots = {name: getattr(function, name) for name in _SLOTS}
    annotate = getattr(function, "__annotate__", None)
    if annotate is not None:
        slots["__annotate__"] = annotate
    elif function.__annotations__:
        slots["__annotations__"] = function.__annotations__
    if getattr(function, "__type_params__", ()):
        slots["__type_params__"] = function.__type_params__
    cells = []
    for cell in function.__closure__ or ():
        pickler.bare_cells.add(id(cell))
        try:
            cells.append((cell, cell.cell_contents))
        except ValueError:
            continue
    return dict(function.__dict__), slots, cells


def _reduce_foreign(pickler, function):
    # Not all of the dict can travel: what the function uses of it does.
    cloudpickle = pickler.cloudpickle
    args = cloudpickle.Pickler._function_getnewargs(pickler, function)
    state = cloudpickle._function_getstate(function)
    return cloudpickle._make_function, args, state, None, None, cloudpickle._function_setstate


def reduce_code(pickler, code):
    """Reduce code, and remember the cell it came from."""
    pickler.files.add(code.co_filename)
    make, args = pickler.cloudpickle._code_reduce(code)
    # From 3.1.3 on, cloudpickle drops the file name, by which tracebacks, `inspect` and breakpoints
    # find the cell. A string of its own in each: else it would matter what was interned.
    return make, (*args[:_FILENAME], "".join(list(code.co_filename)), *args[_FILENAME + 1 :])


def reduce_cell(pickler, cell):
    """Reduce a closure cell; one that belongs to a function of this dump is filled by that."""
    if id(cell) in pickler.bare_cells:
        return rebuild.empty_cell, ()
    try:
        contents = cell.cell_contents
    except ValueError:
        return rebuild.empty_cell, ()
    return rebuild.empty_cell, (), contents, None, None, rebuild.set_cell


def is_found_by_name(thing):
    """Return whether ``thing`` is what its module has under its own name."""
    module = getattr(thing, "__module__", None)
    if module in (None, "__main__") or module not in sys.modules:
        return False
    found = sys.modules[module]
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing


def reduce_cached_property(pickler, prop):
    """Reduce a cached_property without the lock it has before Python 3.12."""
    state = {key: value for key, value in vars(prop).items() if key != "lock"}
    return functools.cached_property, (prop.func,), state


def reduce_new_type(pickler, made):
    """Reduce a NewType of the notebook; those of modules travel by name."""
    if is_found_by_name(made):
        return NotImplemented
    return rebuild.make_new_type, (
        made.__name__,
        made.__qualname__,
        made.__module__,
        made.__supertype__,
    )


def reduce_type_parameter(pickler, parameter):
    """Reduce a ParamSpec or TypeVarTuple of the notebook."""
    module = sys.modules.get(getattr(parameter, "__module__", None))
    named = getattr(module, parameter.__name__, None) is parameter
    if named and module.__name__ != "__main__":
        return NotImplemented
    return type(parameter), (parameter.__name__,)


def reduce_match(pickler, match):
    """Reduce a match to the search that finds it again; the few that none finds stay."""
    for search in ("match", "fullmatch", "search"):
        for start in (match.pos, match.start()):
            found = getattr(match.re, search)(match.string, start, match.endpos)
            if found is not None and found.regs == match.regs:
                return rebuild.match, (match.re, search, match.string, start, match.endpos)
    return refuse(pickler, match)


def reduce_count(pickler, count):
    """Reduce an ``itertools.count``; from 3.14 on, no iterator of that module packs itself.

    Where its next value stands in its repr only. One that is no plain number stays.
    """
    try:
        args = ast.literal_eval(f"({repr(count)[len('count(') : -1]},)")
    except (SyntaxError, ValueError):
        return refuse(pickler, count)
    return itertools.count, args


def reduce_struct(pickler, made):
    """Reduce a compiled ``struct.Struct`` to its format."""
    return struct.Struct, (made.format,)


def reduce_exception(pickler, error):
    """Reduce an exception with its causes, and the lines that its traceback shows.

    Its own ``__init__`` is not run again: ``args`` need not be what that takes.
    """
    cls = type(error)
    causes = error.__cause__, error.__context__, error.__suppress_context__
    told = (*causes, raised.frames_of(pickler, error))
    if cls.__reduce__ not in (BaseException.__reduce__, OSError.__reduce__):
        reduced = error.__reduce__()
        if not isinstance(reduced, tuple) or len(reduced) > 3:
            return NotImplemented
        made, args, state = (*reduced, None)[:3]
        return made, args, (state, *told), None, None, rebuild.set_raised
    args = error.__reduce__()[1]
    state = (vars(error).copy(), *told)
    return rebuild.make_exception, (cls, args), state, None, None, rebuild.set_exception


def reduce_weakref(pickler, reference):
    """Reduce a weak reference; what it points to travels in the same component."""
    target = reference()
    if target is None:
        return rebuild.dead_reference, ()
    pickler.state.callbacks |= reference.__callback__ is not None
    return rebuild.weak_reference, (target, reference.__callback__)


def reduce_weak_method(pickler, reference):
    """Reduce a weak reference to a method, likewise."""
    method = reference()
    if method is None:
        return rebuild.dead_reference, ()
    # That of the reference is a function of its class, over the one of the user.
    own = reference.__callback__
    at = own.__code__.co_freevars.index("callback")
    callback = own.__closure__[at].cell_contents
    pickler.state.callbacks |= callback is not None
    return rebuild.weak_method, (method.__self__, method.__func__, callback)


def reduce_weak_dict(pickler, mapping):
    """Reduce a dict with weak keys or values to its items."""
    return type(mapping), (), None, None, iter(list(mapping.items()))


def reduce_dict_view(kind):
    """Return a reducer for the live dict view ``kind``."""

    def reduce_view(pickler, view):
        return rebuild.dict_view, (gc.get_referents(view)[0], kind)

    return reduce_view


def reduce_mapping_proxy(pickler, proxy):
    """Reduce a read-only view of a dict to the dict it shows."""
    shown = gc.get_referents(proxy)[0]
    if shown is _no_metadata():
        return getattr, (sys.modules["dataclasses"], "_EMPTY_METADATA")
    for name in ("__dict__", "__weakref__"):
        if isinstance(shown, dict) and type(shown.get(name)) is types.GetSetDescriptorType:
            return rebuild.class_vars, (shown[name].__objclass__,)
    return types.MappingProxyType, (shown,)


@functools.lru_cache(maxsize=None)
def _no_metadata():
    import dataclasses

    return gc.get_referents(dataclasses._EMPTY_METADATA)[0]


def reduce_tombstone(pickler, stone):
    """Reduce a tombstone to its facts."""
    return rebuild.left_behind, facts(stone)


def reduce_shell(pickler, shell):
    """Reduce the IPython shell to the receiver's."""
    if shell is not pickler.state.shell:
        return NotImplemented
    return rebuild.shell, ()


def reduce_kernel(pickler, kernel):
    """Reduce the kernel object to the receiver's."""
    return rebuild.kernel, ()


def reduce_stream(pickler, stream):
    """Reduce the notebook's own output streams to the receiver's."""
    for name, ours in pickler.state.streams.items():
        if stream is ours:
            return rebuild.stream, (name,)
    return refuse(pickler, stream)


def reduce_module(pickler, module):
    """Reduce a module to its name, or to its content if it was made by hand."""
    return pickler.cloudpickle._module_reduce(module)


_TEXTS_AND_NUMBERS = (str, bytes, int, float, complex)


def has_own_new(cls):
    """Return whether code makes the instances of a class that cannot do so while one is unpacked.

    Code of the notebook; and of a library that takes more than a text or a number has of itself.
    """
    if cls.__module__ != "__main__" and not issubclass(cls, _TEXTS_AND_NUMBERS):
        return False
    makers = [(base, vars(base)["__new__"]) for base in cls.__mro__ if "__new__" in vars(base)]
    users = [base.__module__ == "__main__" for base, _ in makers]
    native = [not isinstance(maker, (staticmethod, types.FunctionType)) for _, maker in makers]
    first = native.index(True)
    return (
        first > 0
        and (users.index(False) == first or makers[first][0] in _TEXTS_AND_NUMBERS)
        and cls.__reduce_ex__ is object.__reduce_ex__
        and cls.__reduce__ is object.__reduce__
        and not any(
            isinstance(getattr(cls, name, None), types.FunctionType)
            for name in ("__getnewargs__", "__getnewargs_ex__")
        )
    )


def reduce_past_new(pickler, thing):
    """Reduce an instance past its own ``__new__``, which ran when it was made.

    It may count, or look at attributes that its class does not have yet while that is unpacked.
    """
    reduced = reduce_past_getattr(pickler, thing)
    if reduced[0] is not copyreg.__newobj__:
        return reduced
    return rebuild.make_instance, *reduced[1:]


def answers_for_others(cls):
    """Return whether a class answers for names that are nowhere: ``__getattr__``."""
    return hasattr(cls, "__getattr__") and not hasattr(cls, "__setstate__")


def _reduced(thing):
    """Return what an object is packed as.

    Before Python 3.11 the instance is asked for ``__getstate__``, too, and may give anything.
    """
    cls = type(thing)
    common = cls.__reduce_ex__ is object.__reduce_ex__ and cls.__reduce__ is object.__reduce__
    own = [name for name in _OWN_RULES if hasattr(cls, name)]
    if sys.version_info >= (3, 11) or not common or own or not hasattr(cls, "__getattr__"):
        return thing.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    slots = {}
    for name in copyreg._slotnames(cls):
        with contextlib.suppress(AttributeError):
            slots[name] = object.__getattribute__(thing, name)
    state = getattr(cls, "__dictoffset__", 0) and dict(object.__getattribute__(thing, "__dict__"))
    items = list.__iter__(thing) if isinstance(thing, list) else None
    pairs = iter(dict.items(thing)) if isinstance(thing, dict) else None
    return copyreg.__newobj__, (cls,), (state or None, slots or None), items, pairs


_OWN_RULES = ("__getstate__", "__getnewargs__", "__getnewargs_ex__")


def reduce_past_getattr(pickler, thing):
    """Reduce an instance so that nobody asks it for ``__setstate__`` while it is still empty.

    One that passes questions on to what it holds would ask itself for that, for ever.
    """
    reduced = _reduced(thing)
    if not isinstance(reduced, tuple) or len(reduced) not in (3, 4, 5) or reduced[2] is None:
        return reduced
    if not answers_for_others(type(thing)):
        return reduced
    made, args, state, items, pairs = (*reduced, None, None)[:5]
    return made, args, state, items, pairs, rebuild.set_state


def reduce_sentinel(name):
    """Return a reducer for an object of which there is one, known by name in its module."""
    return lambda pickler, thing: name


def refuse(pickler, thing):
    """Raise, for kinds whose pickles are known to load wrong."""
    raise CannotTravelError(f"it holds a {kind_of(thing)}")


def refuse_widget(pickler, widget):
    """Raise: its other half is in the browser, and is bound to this kernel."""
    raise StaysError(widget, "a widget belongs to the kernel that shows it")


def for_exact_types():
    """Return type -> reducer for what every kernel has."""
    import dataclasses

    table = {
        types.FunctionType: reduce_function,
        types.CodeType: reduce_code,
        types.CellType: reduce_cell,
        types.ModuleType: reduce_module,
        types.MappingProxyType: reduce_mapping_proxy,
        functools.cached_property: reduce_cached_property,
        re.Match: reduce_match,
        struct.Struct: reduce_struct,
        weakref.ReferenceType: reduce_weakref,
        weakref.WeakMethod: reduce_weak_method,
        weakref.WeakKeyDictionary: reduce_weak_dict,
        weakref.WeakValueDictionary: reduce_weak_dict,
        LeftBehind: reduce_tombstone,
        Parked: reduce_tombstone,
        type(dataclasses.MISSING): reduce_sentinel("MISSING"),
        type(dataclasses._HAS_DEFAULT_FACTORY): reduce_sentinel("_HAS_DEFAULT_FACTORY"),
    }
    for view in ("keys", "values", "items"):
        table[type(getattr({}, view)())] = reduce_dict_view(view)
    if sys.version_info >= (3, 14):
        table[itertools.count] = reduce_count
    if isinstance(typing.NewType, type):
        table[typing.NewType] = reduce_new_type
    for name in ("ParamSpec", "TypeVarTuple"):
        if hasattr(typing, name):
            table[getattr(typing, name)] = reduce_type_parameter
    return table
