"""Recipes: the user's functions that make a value which could not travel.

A recipe is never run on a standby: what it does to the world outside must not be done by a
kernel that nobody uses. It runs when a cell mentions the name, before that cell.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import types
from importlib.machinery import ModuleSpec

from .mentions import reached
from .reasons import one_line
from .tombstone import LeftBehind, facts

#: The module in which a user finds ``recipe``.
_PUBLIC = "relay_kernel"


def offer(register):
    """Let cells find ``relay_kernel.recipe``, also where relay-kernel is not installed.

    Args:
        register: takes the name of a variable and the function that makes it.
    """
    sys.modules[__package__].register_recipe = register
    try:
        installed = _PUBLIC in sys.modules or importlib.util.find_spec(_PUBLIC) is not None
    except (ImportError, ValueError):
        installed = False
    if installed:
        return
    module = types.ModuleType(_PUBLIC, "What relay-kernel offers to cells.")
    module.__spec__ = ModuleSpec(_PUBLIC, None)
    module.recipe = recipe
    sys.modules[_PUBLIC] = module


def recipe(name):
    """Say how the variable ``name`` is made again where its value could not come along.

    The decorated function takes nothing and returns the value. It runs on the kernel that took
    over, when a cell mentions ``name`` there.
    """

    def register(function):
        sys.modules[__package__].register_recipe(name, function)
        return function

    return register


def registrar(state):
    """Return what takes a recipe for a kernel."""

    def register(name, function):
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"recipe: {name!r} is not the name of a variable")
        if not callable(function):
            raise TypeError(f"recipe: what makes {name} must be a function without arguments")
        state.recipes[name] = function
        state.tried.pop(name, None)

    return register


def waiting(state):
    """Return the names for which a recipe stands ready: a tombstone has the name, and is new."""
    names = state.user_ns
    return {
        name
        for name in state.recipes
        if type(names.get(name)) is LeftBehind and state.tried.get(name) is not names[name]
    }


def make(state, names):
    """Run the recipes of ``names``, and before each those of what it mentions itself."""
    for name in sorted(names):
        _make(state, name, set())


def _make(state, name, at_work):
    if name in at_work or name not in waiting(state):
        return
    function = state.recipes[name]
    called = getattr(function, "__name__", "")
    needed = reached([called], {**state.user_ns, called: function})
    for other in sorted(needed & waiting(state) - {name}):
        _make(state, other, at_work | {name})
    try:
        value = function()
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError("it is a coroutine, and must be an ordinary function")
    except BaseException as error:
        stone = _with(facts(state.user_ns[name]), error)
        state.user_ns[name] = state.tried[name] = stone
        return
    state.user_ns[name] = value


def _with(found, error):
    """Return a tombstone that tells what the recipe raised."""
    name, kind, reason, place, kernel_id, token = found
    reason = reason.partition("; its recipe raised ")[0]
    said = f"{type(error).__name__}: {one_line(str(error))}"
    return LeftBehind(name, kind, f"{reason}; its recipe raised {said}", place, kernel_id, token)
