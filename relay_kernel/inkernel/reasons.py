"""Why a value could not be packed, in words for the person who made it."""

from __future__ import annotations

import re

#: What follows "because" in a sentence, of a file.
OPEN_FILE = "an open file belongs to one machine"
#: How reasons begin that may be over by and by.
MAY_COME = ("the file ", "the module ")
#: Type name -> reason of what can never travel.
KNOWN = {
    "generator": "a generator is suspended in the middle of its code",
    "async_generator": "a generator is suspended in the middle of its code",
    "coroutine": "a coroutine is suspended in the middle of its code",
    "frame": "a frame belongs to code that is running",
    "traceback": "a traceback belongs to code that was running",
    "Thread": "a thread runs in one process",
    "Popen": "a running program belongs to one machine",
    "socket": "an open connection belongs to one machine",
    "Connection": "an open connection belongs to one machine",
    "Cursor": "an open connection belongs to one machine",
    "mmap": "mapped memory belongs to one machine",
    "SharedMemory": "shared memory belongs to one machine",
    "_TemporaryFileWrapper": "a temporary file belongs to one machine",
    "TemporaryDirectory": "a temporary folder belongs to one machine",
    "tqdm": "a progress bar belongs to the cell that shows it",
    "tqdm_notebook": "a progress bar belongs to the cell that shows it",
    "OutStream": "an output stream belongs to one kernel",
}

#: Their pickles look right and load wrong, or are worthless elsewhere: never tried.
NEVER = {
    ("tempfile", "_TemporaryFileWrapper"),
    ("tempfile", "_TemporaryFileCloser"),
    ("tempfile", "SpooledTemporaryFile"),
    ("multiprocessing.shared_memory", "SharedMemory"),
    ("tempfile", "TemporaryDirectory"),
    ("tqdm.std", "tqdm"),
    ("tqdm.asyncio", "tqdm_asyncio"),
    ("tqdm.notebook", "tqdm_notebook"),
}

#: Base class of what ipywidgets shows.
WIDGET = ("ipywidgets.widgets.widget", "Widget")

_CANNOT = re.compile(r"cannot pickle '(?:[\w.]*\.)?(\w+)' object")


_NO_NAME = re.compile(r"name '(\w+)' is not defined")


class CannotTravelError(Exception):
    """An object was met that must stay where it is; the text says why."""


class StaysError(CannotTravelError):
    """An object was met that must stay where it is, though others of its kind can travel.

    Args:
        thing: the object.
        reason: what follows "because".
    """

    def __init__(self, thing, reason):
        super().__init__(f"it holds a {kind_of(thing)}, and {reason}")
        self.kind = type(thing)
        self.reason = reason


class MissingHereError(Exception):
    """What a value needs is not on this machine; the text says what."""


def kind_of(value):
    """Return the type of ``value`` as a person would write it."""
    cls = type(value)
    module = getattr(cls, "__module__", "")
    name = getattr(cls, "__qualname__", "object")
    return name if module in ("builtins", "__main__", "_io", "_thread") else f"{module}.{name}"


def why(value, error):
    """Return the reason why packing ``value`` raised ``error``."""
    name = type(value).__name__
    if name in KNOWN:
        return KNOWN[name]
    if isinstance(error, StaysError) and error.kind is type(value):
        return error.reason
    if isinstance(error, CannotTravelError):
        return str(error)
    text = str(error)
    if isinstance(error, RecursionError) or "recursion" in text:
        return "it is nested too deeply"
    found = _CANNOT.search(text)
    if found:
        inner = found.group(1)
        return f"it holds a {inner}" + (f", and {KNOWN[inner]}" if inner in KNOWN else "")
    if "changed size during iteration" in text or "mutated during iteration" in text:
        return "it kept changing while it was read, so a thread may be at work on it"
    return f"packing it failed with {type(error).__name__}: {one_line(text)}"


def why_not_loaded(error):
    """Return the reason why unpacking raised ``error`` on this kernel."""
    if isinstance(error, MissingHereError):
        return one_line(str(error))
    if isinstance(error, ModuleNotFoundError):
        return f"the module {error.name!r} is not installed here"
    return f"unpacking it here failed with {type(error).__name__}: {one_line(str(error))}"


def missing_name(error):
    """Return the name of a variable for want of which ``error`` was raised, or None."""
    while error is not None:
        # Some libraries put the text of what happened into an error of their own.
        found = _NO_NAME.search(str(error))
        if found:
            return found.group(1)
        error = error.__cause__ or error.__context__
    return None


def one_line(text, limit=200):
    """Return ``text`` on one line of at most ``limit`` letters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
