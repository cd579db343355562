"""Describes a namespace as text: values, types, and which of its objects are the same ones.

Two namespaces with the same description cannot be told apart by code of the user.
"""

# ruff: noqa: E501 - most of it is a text of code
from __future__ import annotations

#: Runs in a kernel, in a dict of its own with ``ns`` and ``skip``; prints the description.
CODE = '''
import sys, types

class Describer:
    def __init__(self, ns):
        self.ns, self.seen, self.kept, self.arrays = ns, {}, [], []

    def text(self, thing):
        kind = type(thing)
        if thing is None or kind in (int, float, complex, bool, str, bytes, range):
            return repr(thing)
        if thing is self.ns:
            return "globals"
        if kind is types.ModuleType or kind is types.BuiltinFunctionType:
            return f"{kind.__name__} {thing.__name__}"
        if isinstance(thing, type) and thing.__module__ != "__main__":
            return f"type {thing.__module__}.{thing.__qualname__}"
        if kind is tuple:
            return "(" + ", ".join(map(self.text, thing)) + ")"
        if isinstance(thing, tuple) and not hasattr(thing, "__dict__"):
            return f"of {self.text(kind)} (" + ", ".join(map(self.text, thing)) + ")"
        number = self.seen.get(id(thing))
        if number is not None:
            return f"@{number}"
        number = self.seen[id(thing)] = len(self.seen)
        self.kept.append(thing)
        return f"@{number}={self.new(thing, kind)}"

    def new(self, thing, kind):
        name = "of " + self.text(kind)
        numpy = sys.modules.get("numpy")
        if numpy and isinstance(thing, numpy.ndarray):
            return self.array(thing, name)
        if isinstance(thing, type):
            return self.cls(thing)
        if kind is types.FunctionType:
            return self.function(thing)
        if kind is types.CellType:
            return f"cell({self.text(thing.cell_contents)})"
        if kind is types.MethodType:
            return f"method({self.text(thing.__func__)}, {self.text(thing.__self__)})"
        if isinstance(thing, list) or kind.__name__ in ("list_iterator", "zip", "deque"):
            # An iterator that is used up says no place, and a copy of it says place 0 of nothing.
            inner = thing if isinstance(thing, list) else [p for p in thing.__reduce__()[1:] if p != 0]
            return f"{name} [{', '.join(self.text(each) for each in inner)}]" + self.state(thing)
        if isinstance(thing, dict):
            items = ", ".join(f"{self.text(k)}: {self.text(v)}" for k, v in thing.items())
            return f"{name} {{{items}}}" + self.state(thing)
        if isinstance(thing, (set, frozenset)):
            return f"{name} {{{', '.join(sorted(map(self.text, thing)))}}}"
        if isinstance(thing, BaseException):
            cause = self.text(thing.__cause__)
            return f"{name} {self.text(thing.args)} from {cause}" + self.state(thing)
        if kind.__name__ in ("dict_keys", "dict_values", "dict_items"):
            return f"{name} {[self.text(each) for each in thing]}"
        if kind.__name__ in ("generator", "LeftBehind"):
            return "what cannot travel"
        if kind.__module__.startswith("pandas") and hasattr(thing, "to_csv"):
            return f"{name} {thing.dtypes!r} {thing.to_csv()}"
        if kind.__module__.startswith("sklearn") and hasattr(thing, "get_params"):
            return name + self.state(thing)
        if kind.__module__.startswith("torch") and hasattr(thing, "tolist"):
            return f"{name} {thing.tolist()}"
        if kind.__name__ == "Random":
            return f"{name} {thing.getstate()[1][-5:]}"
        if kind.__name__ == "Generator":
            return f"{name} {thing.bit_generator.state}"
        if kind.__name__ == "partial":
            parts = self.text((thing.func, thing.args, thing.keywords))
            return f"{name} {parts}" + self.state(thing)
        if kind.__module__ == "__main__":
            return name + self.state(thing)
        return f"{name} {thing!r}".split(" at 0x")[0]

    def state(self, thing):
        found = dict(getattr(thing, "__dict__", {}))
        for slot in getattr(type(thing), "__slots__", ()):
            if hasattr(thing, slot):
                found[slot] = getattr(thing, slot)
        return f" with {[(k, self.text(v)) for k, v in found.items()]}" if found else ""

    def array(self, thing, name):
        self.arrays.append(thing)
        flags = thing.flags
        shape = (thing.dtype.str, thing.shape, thing.strides if thing.size else (), flags.writeable)
        content = [self.text(each) for each in thing.ravel()] if thing.dtype.hasobject else thing.tobytes().hex()
        return f"{name} {shape} {content}"

    def cls(self, cls):
        hidden = ("__dict__", "__weakref__", "__module__", "__doc__", "__firstlineno__", "__static_attributes__", "__annotations__")
        own = [(k, v) for k, v in vars(cls).items() if k not in hidden and type(v) is not types.MemberDescriptorType]
        parts = ", ".join(f"{k}: {self.text(v)}" for k, v in sorted(own))
        return f"class {cls.__qualname__}({self.text(cls.__bases__)}) {{{parts}}}"

    def function(self, function):
        cells = self.text(function.__closure__ or ())
        own = function.__globals__ is self.ns
        extra = (function.__qualname__, function.__doc__, own, function.__code__.co_code.hex())
        return f"function {extra} {cells} {self.text(function.__defaults__)} {self.text(function.__dict__)}"

    def memory(self):
        """Which arrays overlap, and where they lie in each other."""
        numpy = sys.modules.get("numpy")
        spans = []
        for number, each in enumerate(self.arrays):
            if each.size:
                low, high = numpy.lib.array_utils.byte_bounds(each)
                spans.append((low, high, number, each))
        found, group, end = [], [], -1
        for low, high, number, each in sorted(spans, key=lambda span: span[:3]):
            if low >= end:
                group = []
                found.append(group)
            start = low - (group[0][2] if group else low)
            group.append((number, each.__array_interface__["data"][0] - low + start, low))
            end = max(end, high)
        return sorted(sorted((n, at) for n, at, _ in group) for group in found if len(group) > 1)

describer = Describer(ns)
hidden = ns["get_ipython"]().user_ns_hidden
lines = []
for name in sorted(ns):
    if name[:1] != "_" and name not in hidden and name not in skip:
        lines.append(f"{name} = {describer.text(ns[name])}")
for number, value in ns["_oh"].items():
    lines.append(f"Out[{number}] = {describer.text(value)}")
lines.append(f"memory {describer.memory()}")
lines.append(f"count {ns['get_ipython']().execution_count}")
print(chr(10).join(lines))
'''


def cell(skip: set[str]) -> str:
    """Return a cell, to be run silently, that prints the description of all names and ``Out``."""
    return f"exec({CODE!r}, {{'ns': globals(), 'skip': {sorted(skip)!r}}})"
