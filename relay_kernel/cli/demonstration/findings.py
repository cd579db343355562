"""What a kernel holds, by value. Runs inside the kernels: sent there as text, so it stands alone.

Two kernels that found the same hold the same: names, values down to the last bit, which names
share an object, what functions do, the history of inputs and outputs, random generators.
Not compared: the order in which ``Out`` and the members of a class are listed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import sys
import types
from collections.abc import Callable
from typing import Any

Feed = Callable[[Any], None]
Update = Callable[[bytes], None]

_HIDDEN = {"In", "Out", "get_ipython", "exit", "quit", "open"}
_SHOWN = 60


def find(shell: Any, probes: tuple[str, ...]) -> str:
    """Describe everything in ``shell`` as JSON.

    Args:
        shell: IPython's.
        probes: expressions, evaluated among the user's variables.

    Returns:
        A JSON object: name of a thing -> ``[fingerprint, type, beginning of its repr]``.
    """
    names = shell.user_ns
    things = {
        name: value
        for name, value in names.items()
        if not name.startswith("_") and name not in _HIDDEN
    }
    found = {name: _describe(value) for name, value in sorted(things.items())}
    found["the names that share an object"] = _describe(_shared(things))
    found["In"] = _describe(list(names["In"]))
    found["Out"] = _describe(dict(sorted(names["Out"].items())))
    found["_"] = _describe(names.get("_"))
    found["the execution count"] = _describe(shell.execution_count)
    found["the state of random"] = _describe(random.getstate())
    if "numpy" in sys.modules:
        found["the state of numpy.random"] = _describe(sys.modules["numpy"].random.get_state())
    # Last, since a call may leave traces.
    found.update({f"value of {probe}": _describe(eval(probe, names)) for probe in probes})
    return json.dumps(found)


def _describe(value: Any) -> list[str]:
    digest = hashlib.blake2b(digest_size=12)
    _feed(digest, value, {})
    return [digest.hexdigest(), type(value).__name__, repr(value)[:_SHOWN]]


def _feed(digest: Any, value: Any, seen: dict[int, tuple[int, Any]]) -> None:
    """Add ``value`` to ``digest``; an object that occurs twice is told from two equal ones."""
    kind = type(value)
    digest.update(f"<{kind.__qualname__}:".encode())
    if id(value) in seen and not _is_plain(value) and kind not in {tuple, frozenset}:
        digest.update(b"again %d" % seen[id(value)][0])
    else:
        # The value is kept, so that its id stays its own.
        seen[id(value)] = (len(seen), value)
        _content(value, lambda item: _feed(digest, item, seen), digest.update)
    digest.update(b">")


@functools.singledispatch
def _content(value: Any, feed: Feed, update: Update) -> None:
    module = type(value).__module__.partition(".")[0]
    if module == "numpy":
        _numpy_content(value, feed, update)
    elif getattr(value, "__dict__", None):
        feed(dict(vars(value)))
    else:
        update(repr(value).encode())


def _numpy_content(value: Any, feed: Feed, update: Update) -> None:
    if hasattr(value, "bit_generator"):
        feed(value.bit_generator.state)
    elif hasattr(value, "tobytes") and not value.dtype.hasobject:
        update(f"{value.dtype.str}{value.shape}".encode() + value.tobytes())
    else:
        feed(value.tolist())


@_content.register(list)
@_content.register(tuple)
def _sequence_content(value: Any, feed: Feed, update: Update) -> None:
    for item in value:
        feed(item)


@_content.register(dict)
def _dict_content(value: Any, feed: Feed, update: Update) -> None:
    for key, item in value.items():
        feed(key)
        feed(item)


@_content.register(set)
@_content.register(frozenset)
def _set_content(value: Any, feed: Feed, update: Update) -> None:
    update("".join(sorted(_describe(item)[0] for item in value)).encode())


@_content.register(types.ModuleType)
def _module_content(value: Any, feed: Feed, update: Update) -> None:
    update(value.__name__.encode())


@_content.register(types.FunctionType)
def _function_content(value: Any, feed: Feed, update: Update) -> None:
    feed(value.__code__)
    feed(value.__defaults__)
    feed(value.__kwdefaults__)
    feed([cell.cell_contents for cell in value.__closure__ or ()])


@_content.register(types.CodeType)
def _code_content(value: Any, feed: Feed, update: Update) -> None:
    update(value.co_code)
    feed([value.co_name, value.co_names, value.co_varnames, value.co_consts])


@_content.register(type)
def _class_content(value: Any, feed: Feed, update: Update) -> None:
    feed([value.__qualname__, [base.__qualname__ for base in value.__bases__]])
    if value.__module__ == "__main__":
        own = {key: item for key, item in sorted(vars(value).items()) if not key.startswith("__")}
        feed([own, vars(value).get("__init__")])


def _is_plain(value: Any) -> bool:
    """Whether ``value`` cannot change, nor hold what can."""
    kinds = (bool, int, float, complex, str, bytes, type, types.CodeType)
    return value is None or isinstance(value, kinds)


def _shared(things: dict[str, Any]) -> list[tuple[str, ...]]:
    """Groups of names that reach the same changeable object."""
    reached: dict[int, list[str]] = {}
    for name, value in sorted(things.items()):
        for item in _reach(value, {}):
            reached.setdefault(item, []).append(name)
    return sorted({tuple(group) for group in reached.values() if len(group) > 1})


def _reach(value: Any, met: dict[int, Any]) -> dict[int, Any]:
    simple = _is_plain(value) or isinstance(value, (types.FunctionType, types.ModuleType))
    if simple or id(value) in met:
        return met
    if isinstance(value, dict):
        inner: Any = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = value
    else:
        inner = getattr(value, "__dict__", {}).values()
    # An empty tuple is the same everywhere.
    if not isinstance(value, (tuple, frozenset)):
        met[id(value)] = value
    for item in inner:
        _reach(item, met)
    return met
