"""What a packed value calls while it is unpacked. Pickles name these functions: never rename one.

``current`` is the loader at work, set by ``unpacking`` for the time of one load. It knows the
namespace that functions bind to, the classes, and the memory of arrays.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import sys
import types
import typing
import weakref

from . import raised

current = None


@contextlib.contextmanager
def unpacking(loader):
    """Let packed values reach ``loader`` while the block runs; loads may nest."""
    global current  # noqa: PLW0603 - pickles can only name functions of a module
    before, current = current, loader
    try:
        yield
    finally:
        current = before


def empty_cell():
    """Return a closure cell that holds nothing yet."""
    return types.CellType()


def set_cell(cell, value):
    """Fill a closure cell."""
    cell.cell_contents = value


def make_function(home, code, name, closure):
    """Return a function over the receiver's namespace, or over the module or dict ``home``."""
    if isinstance(home, str):
        home = vars(importlib.import_module(home))
    namespace = current.user_ns if home is None else home
    return types.FunctionType(code, namespace, name, None, closure)


def set_function(function, state):
    """Give a function its attributes, and its cells their contents."""
    attributes, slots, cells = state
    function.__dict__.update(attributes)
    for cell, value in cells:
        cell.cell_contents = value
    for name, value in slots.items():
        setattr(function, name, value)


def make_lru_cache(parameters):
    """Return an lru_cache over a function that is still to come."""
    # A partial can be given another function, and calls it without a frame of its own.
    return functools.lru_cache(**parameters)(functools.partial(_given))


def _given(result, *_, **__):
    return result


def set_lru_cache(wrapper, state):
    """Fill in the function and what is cached once the wrapper itself can be referred to."""
    attributes, function, function_state, entries = state
    inner = wrapper.__wrapped__
    if function_state is not None:
        set_function(function, function_state)
    for (arguments, keywords), result in entries:
        inner.__setstate__((_given, (result,), {}, None))
        # What its own code cannot make a key of yet is computed again.
        with contextlib.suppress(Exception):
            wrapper(*arguments, **keywords)
    inner.__setstate__((function, (), {}, None))
    wrapper.__dict__.update(attributes)


def make_new_type(name, qualname, module, supertype):
    """Return a ``typing.NewType`` of the notebook."""
    made = typing.NewType(name, supertype)
    made.__qualname__ = qualname
    made.__module__ = module
    return made


def match(pattern, search, text, start, end):
    """Return the match that ``search``, a method of ``pattern``, finds in a part of ``text``."""
    return getattr(pattern, search)(text, start, end)


def ended(kind, name, qualname):
    """Return a generator or coroutine that has ended."""
    made = _ENDED[kind]()
    made.__name__, made.__qualname__ = name, qualname
    with contextlib.suppress(StopIteration):
        # One of an asynchronous kind ends by what its closing gives, once that is run.
        (made.aclose() if kind == "async_generator" else made).send(None)
    return made


def _generator():
    yield from ()


async def _coroutine():
    pass


async def _async_generator():
    for each in ():
        yield each


_ENDED = {
    "generator": _generator,
    "coroutine": _coroutine,
    "async_generator": _async_generator,
}


def make_instance(cls, *args):
    """Return an instance of a class of the notebook without running its own ``__new__``."""
    native = next(
        base
        for base in cls.__mro__
        if "__new__" in vars(base)
        and not isinstance(vars(base)["__new__"], (staticmethod, types.FunctionType))
    )
    return native.__new__(cls, *args)


def make_exception(cls, args):
    """Return an exception without running its own ``__init__``, whose arguments are not kept."""
    made = cls.__new__(cls, *args)
    native = next(base for base in cls.__mro__ if not _has_python_init(base))
    native.__init__(made, *args)
    return made


def _has_python_init(cls):
    return isinstance(cls.__init__, types.FunctionType)


def set_exception(error, state):
    """Give an exception its attributes, and say what it was raised from and where."""
    attributes, *told = state
    error.__dict__.update(attributes)
    _say_where(error, *told)


def set_raised(error, state):
    """Do the same for one that packs itself."""
    own, *told = state
    if own is not None:
        error.__setstate__(own)
    _say_where(error, *told)


def _say_where(error, cause, context, suppress, frames):
    error.__cause__, error.__context__, error.__suppress_context__ = cause, context, suppress
    # Code that no Python compiled may say of itself what no Python can.
    with contextlib.suppress(Exception):
        error.__traceback__ = raised.traceback_of(frames)


def dict_view(mapping, kind):
    """Return the live view ``keys``, ``values`` or ``items`` of a dict."""
    return getattr(mapping, kind)()


def class_vars(cls):
    """Return the read-only dict of a class."""
    return cls.__dict__


def weak_reference(target, callback):
    """Return a weak reference; the target lives on only if something else holds it."""
    return weakref.ref(target, callback)


def weak_method(owner, function, callback):
    """Return a weak reference to ``function`` as a method of ``owner``."""
    return weakref.WeakMethod(types.MethodType(function, owner), callback)


class _Gone:
    """Has instances that are gone at once, to make dead references of."""


def dead_reference():
    """Return a weak reference to something that is gone."""
    return weakref.ref(_Gone())


def context_variable(name, default):
    """Return a ContextVar; ``default`` is its default in a tuple, an empty one for none."""
    return contextvars.ContextVar(name, **({"default": default[0]} if default else {}))


def set_context_variable(variable, value):
    """Set a ContextVar for cells, to a value in a tuple."""
    variable.set(*value)


def memory_view(owner, offset, size, layout, shape, readonly):
    """Return a memoryview over part of ``owner``."""
    view = memoryview(owner).cast("B")[offset : offset + size]
    if layout != "B" or len(shape) != 1:
        view = view.cast(layout, shape) if size else view.cast(layout)
    return view.toreadonly() if readonly and not view.readonly else view


def array(payload, dtype, shape, order, writeable):
    """Return an array that owns its memory, read from the store straight into it.

    Args:
        payload: the bytes, or the number of the buffer that has them.
        dtype: element type, without Python objects.
        shape: tuple of ints.
        order: ``"C"`` or ``"F"``.
        writeable: whether the array may be written to.
    """
    import numpy as np

    made = np.empty(shape, dtype, order)
    line = made.reshape(-1) if order == "C" else made.T.reshape(-1)
    if made.size:
        memory = memoryview(line.view(np.uint8))
        if isinstance(payload, int):
            current.fill(payload, memory)
        else:
            memory[:] = payload
    made.flags.writeable = writeable
    return made


def array_view(owner, dtype, shape, strides, offset, writeable):
    """Return an array over part of the memory of ``owner``, an array or a bytearray."""
    import numpy as np

    if isinstance(owner, np.ndarray):
        line = owner.reshape(-1) if owner.flags.c_contiguous else owner.T.reshape(-1)
        owner = line.view(np.uint8)
    made = np.ndarray(shape, dtype, buffer=owner, offset=offset, strides=strides)
    if not writeable:
        made.flags.writeable = False
    return made


def array_of(kind, plain):
    """Return an array of a subclass over the memory of ``plain``."""
    return plain.view(kind)


def of_library(module, attribute):
    """Return what a module of a library has under a name."""
    found = vars(importlib.import_module(module))
    if attribute not in found:
        raise LookupError(f"{module} has no {attribute} here: is it of another version?")
    return found[attribute]


def fill_of_library(thing, content):
    """Give what a library has the content that cells gave it, once all has come."""
    current.fill_later(thing, content)


def set_state(thing, state):
    """Give an object its state as unpickling does, past what its class may do on the way."""
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        object.__getattribute__(thing, "__dict__").update(attributes)
    for name, value in (slots or {}).items():
        object.__setattr__(thing, name, value)


def bare(cls, base=object):
    """Return an object of a class that does nothing of what it does to new ones."""
    return base.__new__(cls)


def set_soup(soup, state):
    """Give a page of Beautiful Soup its tree."""
    soup.__dict__.update(state)
    if isinstance(soup.builder, type):
        soup.builder = soup.builder()
    soup.builder.soup = soup


def set_attributes(thing, attributes):
    """Give an object its attributes, past what its class may do on the way."""
    thing.__dict__.update(attributes)


def class_by_id(tid):
    """Return the class of the notebook with this tracker id, making it first if need be."""
    return current.class_by_id(tid)


def settle_class(tid, code):
    """Give a class its functions, before anything that may call them is unpacked."""
    return current.settle_class(tid, code)


def finish_class(cls, state):
    """Give a class its other attributes and take away those that it no longer has."""
    current.finish_class(cls, *state)


def settle_module(name, attributes):
    """Remember what a module of the user shall hold once the snapshot is applied."""
    return current.settle_module(name, attributes)


def left_behind(*facts):
    """Return a tombstone, or the real value when this is the kernel that kept it."""
    return current.real_value(facts)


def shell():
    """Return the IPython shell of this kernel."""
    return current.shell


def kernel():
    """Return the kernel object of this kernel."""
    return current.shell.kernel


def stream(name):
    """Return this kernel's ``sys.stdout`` or ``sys.stderr``."""
    return current.streams[name] if name in current.streams else getattr(sys, name)


def torch_storage(payload, size, device):
    """Return untyped torch storage on ``device``, or on the CPU where there is no such device."""
    import torch

    made = torch.UntypedStorage(size)
    if size:
        whole = torch.empty(0, dtype=torch.uint8).set_(made)
        memory = memoryview(whole.numpy())
        if isinstance(payload, int):
            current.fill(payload, memory)
        else:
            memory[:] = payload
    if device == "cpu":
        return made
    try:
        return torch.empty(0, dtype=torch.uint8).set_(made).to(device).untyped_storage()
    except (RuntimeError, AssertionError):
        current.belongs(made, device)
        return made


def set_gradient(tensor, gradient):
    """Give a tensor its gradient."""
    tensor.grad = gradient


def torch_typed_storage(storage, dtype):
    """Return typed torch storage over untyped storage."""
    import torch

    return torch.storage.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)


def polars_series(column):
    """Return a column of polars.

    Args:
        column: name, type, type of its numbers in NumPy, which order polars knows it to be in
            (``"SORTED_ASC"``, ``"SORTED_DESC"`` or ``""``), and its parts, each as bytes or the
            number of a buffer, and their size. Without a type: the one part is what polars packed.
    """
    name, kind, numbers, order, parts = column
    if kind is None:
        return polars_packed("Series", *parts[0])
    import numpy as np
    import polars

    memory = np.empty(sum(size for _, size in parts), np.uint8)
    at = 0
    for payload, size in parts:
        _fill(payload, memoryview(memory[at : at + size]))
        at += size
    made = polars.Series(name, memory.view(numbers))
    if made.dtype != kind:
        made = made.cast(kind)
    return made.set_sorted(descending=order == "SORTED_DESC") if order else made


def polars_frame(columns):
    """Return a frame of polars; each column is as ``polars_series`` takes it."""
    import polars

    return polars.DataFrame([polars_series(column) for column in columns])


def polars_packed(name, payload, size):
    """Return what polars unpacks from bytes: an object of the class ``name``."""
    import polars

    memory = bytearray(size)
    _fill(payload, memoryview(memory))
    kind = getattr(polars, name)
    made = kind.__new__(kind)
    made.__setstate__(bytes(memory))
    return made


def _fill(payload, memory):
    """Fill memory with bytes, or with the buffer of that number."""
    if isinstance(payload, int):
        current.read(payload, memory)
    else:
        memory[:] = payload
