"""Classes of the notebook: each travels once, as itself, under a tracker id.

Rule 1: an instance carries the id of its class and never its state.
Rule 2: a class that a kernel knows is changed in place, so instances and ``isinstance`` hold.
"""

from __future__ import annotations

import abc
import contextlib
import itertools
import sys
import types
import weakref
from enum import Enum

#: Own attributes that the interpreter makes and keeps, and that are no state.
_INTERNAL = frozenset(
    [
        "__dict__",
        "__weakref__",
        "__slots__",
        "__module__",
        "__doc__",
        "_abc_impl",
        "__annotate_func__",
        "__annotations_cache__",
        "__abstractmethods__",
        "__slotnames__",
        "__name__",
    ]
)
_MEMBER_INTERNAL = frozenset(["_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"])
#: What a class has by being one, and yet can be given anew; and the key of that in its state. Its
#: own attributes of such names, which instances see, are others, and are there from the start.
_MADE_WITH = ("__name__", "__qualname__", "__bases__")
_MADE = "relay made with"
_CODE = (types.FunctionType, classmethod, staticmethod, property)
_MEMBERS = "relay enum members"
#: Classes of libraries whose hook tells others of a subclass, which has nothing in it yet.
_TELL_OTHERS = {("flax.struct", "PyTreeNode")}


class ClassTable:
    """The classes of the notebook that this kernel knows, by tracker id."""

    def __init__(self, kernel_id):
        self._prefix = kernel_id[:12]
        self._serial = itertools.count(1)
        self._tids = {}
        self._known = weakref.WeakValueDictionary()
        self._held = {}

    def tid(self, cls):
        """Return the tracker id of ``cls``, a new one if it has none."""
        tid = self._tids.get(id(cls))
        if tid is None or self._known.get(tid) is not cls:
            tid = f"{self._prefix}.{next(self._serial)}"
            self.adopt(tid, cls)
        return tid

    def adopt(self, tid, cls):
        """Make ``cls`` known under an id that it has elsewhere."""
        self._known[tid] = cls
        self._tids[id(cls)] = tid

    def get(self, tid):
        """Return the class with this id, or None."""
        return self._known.get(tid)

    def all(self):
        """Return those that are alive."""
        return list(self._known.values())

    def owns(self, cls):
        """Return whether ``cls`` is a class of the notebook."""
        return self._known.get(self._tids.get(id(cls), "")) is cls

    def hold(self, tids):
        """Keep exactly these classes alive, also when no instance does."""
        self._held = {tid: self._known[tid] for tid in tids if tid in self._known}
        self._tids = {id(cls): tid for tid, cls in list(self._known.items())}


class ClassRoot:
    """Stands for the state of a class in a dump, as against a mere mention of it.

    Args:
        tid: tracker id.
        cls: the class.
        stones: attribute -> (value, tombstone), for values that cannot be packed.
    """

    def __init__(self, tid, cls, stones=None):
        self.tid = tid
        self.cls = cls
        self.stones = stones or {}

    def attributes(self, cloudpickle):
        """Return the attributes that belong to the class itself, with tombstones in place."""
        state = _own_state(self.cls, cloudpickle)
        for name, (value, stone) in self.stones.items():
            if name in state and state[name] is value:
                state[name] = stone
        return state

    def state(self, cloudpickle):
        """Return (functions, other attributes, names of all)."""
        state = self.attributes(cloudpickle)
        code = {name: value for name, value in state.items() if isinstance(value, _CODE)}
        rest = {name: value for name, value in state.items() if name not in code}
        return code, rest, tuple(state)


def _own_state(cls, cloudpickle):
    if issubclass(cls, Enum):
        state = cloudpickle._enum_getstate(cls)[0]
        state[_MEMBERS] = _member_state(cls)
    else:
        state = cloudpickle._class_getstate(cls)[0]
    if vars(cls).get("__annotate_func__"):
        state["__annotations_cache__"] = _annotations(cls)
    for name in ("__slots__", "__slotnames__", "__name__"):
        state.pop(name, None)
    own = {name: value for name, value in state.items() if not _is_slot(cls, value)}
    return {**own, _MADE: _made_with(cls)}


def _made_with(cls):
    return {name: getattr(cls, name) for name in _MADE_WITH}


def _annotations(cls):
    """Return what a function of the class gives when it is asked, from Python 3.14 on.

    That function holds the namespace in which the class was made, so it stays. What names things
    that are not there yet travels as text.
    """
    try:
        return dict(cls.__annotations__)
    except Exception:
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.STRING)


def _member_state(cls):
    members = {}
    for name, member in cls.__members__.items():
        own = {k: v for k, v in vars(member).items() if k not in _MEMBER_INTERNAL}
        if own:
            members[name] = own
    return members


def _is_slot(cls, value):
    return type(value) is types.MemberDescriptorType and value.__objclass__ is cls


def skeleton(cls):
    """Return what ``from_skeleton`` makes an empty class from; none of it ever changes."""
    if issubclass(cls, Enum):
        members = {name: member.value for name, member in cls.__members__.items()}
        content = (cls.__module__, members)
        return "enum", type(cls), cls.__name__, cls.__qualname__, cls.__bases__, content
    space = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    for name in ("__slots__", "__orig_bases__", "__name__"):
        if name in vars(cls):
            space[name] = vars(cls)[name]
    return "class", type(cls), cls.__name__, cls.__qualname__, cls.__bases__, space


def from_skeleton(parts, table):
    """Return a new class without attributes. No code of the notebook runs for it."""
    kind, meta, name, qualname, bases, content = parts
    if kind == "enum":
        module, members = content
        space = meta.__prepare__(name, bases)
        for member, value in members.items():
            space[member] = value
        made = meta.__new__(meta, name, bases, space)
        made.__module__, made.__qualname__ = module, qualname
        return made
    with _without_subclass_hooks(bases, table):
        return _native_new(meta)(meta, name, bases, dict(content))


def _native_new(meta):
    # The hooks of the notebook ran when the class was defined; they must not run twice.
    if issubclass(meta, abc.ABCMeta):
        return abc.ABCMeta.__new__
    for base in meta.__mro__:
        maker = vars(base).get("__new__")
        if maker is not None and not isinstance(maker, (staticmethod, types.FunctionType)):
            return base.__new__
    return type.__new__


@contextlib.contextmanager
def _without_subclass_hooks(bases, table):
    hooks = {}
    for base in {each for parent in bases for each in parent.__mro__}:
        hooked = table.owns(base) or (base.__module__, base.__name__) in _TELL_OTHERS
        if hooked and "__init_subclass__" in vars(base):
            hooks[base] = vars(base)["__init_subclass__"]
    for base in hooks:
        type.__setattr__(base, "__init_subclass__", classmethod(lambda cls, **_: None))
    try:
        yield
    finally:
        for base, hook in hooks.items():
            type.__setattr__(base, "__init_subclass__", hook)


def set_attributes(cls, attributes):
    """Set attributes on a class, past what its metaclass may do on the way."""
    for name, value in attributes.items():
        if name == "_abc_impl":
            for registered in value:
                cls.register(registered)
        elif name == _MEMBERS:
            for member, own in value.items():
                vars(cls.__members__[member]).update(own)
        elif name == _MADE:
            for key in (key for key in value if getattr(cls, key) != value[key]):
                type.__setattr__(cls, key, value[key])
        else:
            type.__setattr__(cls, sys.intern(name), value)
    if "__firstlineno__" in attributes:
        # Setting __module__ takes it away again.
        type.__setattr__(cls, "__firstlineno__", attributes["__firstlineno__"])


def drop_attributes(cls, names):
    """Delete the attributes of a class that are not in ``names``."""
    if issubclass(cls, Enum):
        return
    for name, value in list(vars(cls).items()):
        if name not in names and name not in _INTERNAL and not _is_slot(cls, value):
            type.__delattr__(cls, name)


def remember(cls):
    """Return a function that puts the attributes of ``cls`` back as they are now."""
    before = {
        name: value
        for name, value in vars(cls).items()
        if name not in _INTERNAL and not _is_slot(cls, value)
    }
    made_with = _made_with(cls)

    def put_back():
        set_attributes(cls, {_MADE: made_with})
        if not issubclass(cls, Enum):
            for name, value in before.items():
                type.__setattr__(cls, name, value)
        drop_attributes(cls, before)

    return put_back
