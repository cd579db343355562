"""Where exceptions were raised: the lines that a traceback shows travel, its frames do not.

A copy is made of frames that have ended and hold nothing, but say the same file, function, line
and column.
"""

from __future__ import annotations

import inspect
import linecache
import sys
import types

from .homes import local, travelling

#: Frames of a traceback: of a longer one, as many at its beginning and at its end.
_LONGEST = 200
#: Kind of an entry of a table of places that has a line, its end, and columns (PEP 626, 657).
_LONG_ENTRY = 14
#: Instructions that one entry is for.
_REACH = 8


class _Gone:
    """Stands for the value of a parameter, which does not travel."""

    def __repr__(self):
        return "…"


_GONE = _Gone()


def frames_of(pickler, error):
    """Return what is to be said of each frame of the traceback of ``error``, outermost first."""
    found, at = [], error.__traceback__
    while at is not None:
        found.append(_facts(pickler, at))
        at = at.tb_next
    if len(found) > _LONGEST:
        found[_LONGEST // 2 : -_LONGEST // 2] = []
    return found


def _facts(pickler, at):
    code = at.tb_frame.f_code
    pickler.files.add(code.co_filename)
    home = at.tb_frame.f_globals.get("__name__")
    return (
        # Strings of their own: else it would matter what was interned.
        "".join(list(travelling(code.co_filename))),
        home if isinstance(home, str) else None,
        "".join(list(code.co_name)),
        "".join(list(getattr(code, "co_qualname", code.co_name))),
        code.co_firstlineno,
        at.tb_lineno,
        _position(code, at.tb_lasti),
        _parameters(code),
    )


def _parameters(code):
    """Return the text of a function's parameters."""
    count = code.co_argcount
    names = list(code.co_varnames)
    found, only = names[:count], names[count : count + code.co_kwonlyargcount]
    rest = names[count + len(only) :]
    if code.co_flags & inspect.CO_VARARGS:
        found.append(f"*{rest.pop(0)}")
    elif only:
        found.append("*")
    found += [f"{name}=GONE" for name in only]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        found.append(f"**{rest.pop(0)}")
    # What comprehensions iterate over has a name that no code could give.
    text = ", ".join(found)
    return "" if ".0" in text else text


def _position(code, lasti):
    if not hasattr(code, "co_positions") or lasti < 0:
        return None
    for number, position in enumerate(code.co_positions()):
        if number == lasti // 2:
            return position if None not in position else None
    return None


def traceback_of(frames):
    """Return a traceback that shows these frames, or None if there are none."""
    made = None
    for facts in reversed(frames):
        frame = _frame(facts)
        made = types.TracebackType(made, frame, max(frame.f_lasti, 0), facts[5])
    return made


def _frame(facts):
    file, home, name, qualname, first, _, position, parameters = facts
    space = {"GONE": _GONE}
    exec(f"def stub({parameters}): return getframe()", space)
    stub = space["stub"]
    code = stub.__code__
    told = {"co_name": name, "co_filename": _file_here(file, home), "co_firstlineno": first}
    if hasattr(code, "co_qualname"):
        told["co_qualname"] = qualname
        if position is not None:
            told["co_linetable"] = _places(len(code.co_code) // 2, first, position)
    space = {"__name__": home, "getframe": sys._getframe}
    made = types.FunctionType(code.replace(**told), space)
    made.__kwdefaults__ = stub.__kwdefaults__
    return made(*[_GONE] * code.co_argcount)


def _file_here(file, home):
    """Return what the file of a module is called here; that of a cell is the same everywhere."""
    file = local(file)
    module = sys.modules.get(home) if home not in (None, "__main__") else None
    found = getattr(module, "__file__", None)
    return found if isinstance(found, str) and file not in linecache.cache else file


def _places(units, first, position):
    """Return a table that has all of some code at one place.

    Args:
        units: instructions.
        first: line at which the function begins.
        position: line, last line, column, last column.
    """
    line, last, column, end = position
    table, step = bytearray(), line - first
    for at in range(0, units, _REACH):
        table.append(0x80 | _LONG_ENTRY << 3 | min(_REACH, units - at) - 1)
        table += _number(-step << 1 | 1 if step < 0 else step << 1)
        table += _number(last - line) + _number(column + 1) + _number(end + 1)
        step = 0
    return bytes(table)


def _number(value):
    """Return an integer as bytes of six bits each, the lowest first."""
    made = bytearray()
    while value >= 64:
        made.append(64 | value & 63)
        value >>= 6
    made.append(value)
    return bytes(made)
