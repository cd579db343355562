"""Which names a cell mentions, itself or through functions and classes of the user."""

from __future__ import annotations

import ast
import functools
import re
import types

_WORD = re.compile(r"[^\W\d]\w*")
#: What IPython makes of a line that is not Python; the rest of the line is in its arguments.
_SHELL_CALLS = frozenset(("run_line_magic", "run_cell_magic", "system", "getoutput", "run_line"))


def names_of(code, namespace):
    """Return the names that a cell mentions, and those that the user's functions it names mention.

    Args:
        code: of the cell, as it was typed.
        namespace: of the user.
    """
    return reached(mentioned(code), namespace)


def reached(names, namespace):
    """Return ``names`` and all that are mentioned by functions and classes that they stand for."""
    found, looked = set(), set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for code in _codes(namespace.get(name), looked):
            waiting += code.co_names
    return found


def mentioned(code):
    """Return the names in the text of a cell; if it is no Python, each word of it."""
    tree = parsed(code)
    if tree is None:
        return set(_WORD.findall(code))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            names.update(node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) in _SHELL_CALLS:
            texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
            names.update(word for text in texts for word in _WORD.findall(str(text)))
    return names


@functools.lru_cache(maxsize=8)
def parsed(code):
    """Return the syntax tree of a cell as it was typed; None if it is no Python."""
    if not code.isascii() or "%" in code or "!" in code or "?" in code:
        code = _as_python(code)
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _as_python(code):
    """Return what IPython makes of a cell, without what the user has it do on the way."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return TransformerManager().transform_cell(code)
    except Exception:
        return code


def _codes(value, looked):
    """Yield the code that using ``value`` may run, as far as it is the user's."""
    waiting = [value]
    while waiting:
        thing = waiting.pop()
        if id(thing) in looked:
            continue
        if isinstance(thing, (type, types.FunctionType)):
            looked.add(id(thing))
        if type(thing) is types.FunctionType:
            yield from _nested(thing.__code__)
        waiting += _parts(thing)


def _parts(thing):
    """Return what else may run when ``thing`` is used."""
    kind = type(thing)
    if kind is types.FunctionType:
        return [*_cells(thing), getattr(thing, "__wrapped__", None)]
    if kind is types.MethodType:
        return [thing.__func__, type(thing.__self__)]
    if kind in (staticmethod, classmethod):
        return [thing.__func__]
    if kind is property:
        return [thing.fget, thing.fset, thing.fdel]
    if kind is functools.partial:
        return [thing.func]
    if isinstance(thing, type):
        users = thing.__module__ == "__main__"
        return [*vars(thing).values(), *thing.__bases__] if users else []
    return [kind] if kind.__module__ == "__main__" else []


def _cells(function):
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


def _nested(code):
    yield code
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _nested(part)
