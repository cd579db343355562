"""What all tables have in common, and how things of the user are told from those of libraries."""

from __future__ import annotations

import functools
import sys
import types

from ..tombstone import LeftBehind


class Table:
    """One place in which things of the user may be registered.

    A table looks at the kernel when it is made; what was registered then is not the user's.

    Args:
        state: the kernel.
    """

    #: What the keys begin with, which is what a person calls such a thing.
    name = ""

    def __init__(self, state):
        self.state = state

    def has(self, key):
        """Return whether a key is of this table."""
        return key.startswith(self.name)

    def found(self):
        """Return key -> value of what the user registered."""
        raise NotImplementedError

    def put(self, values):
        """Register exactly these of the user, where the value could come.

        Args:
            values: key -> value, or a tombstone.
        """
        raise NotImplementedError

    def is_users(self, thing):
        """Return whether a callable is of the user, see below."""
        return is_users(self.state, thing)


class CellReader(Table):
    """A table that learns from the text of cells what they did.

    Args:
        state: the kernel.
    """

    def __init__(self, state):
        super().__init__(state)
        # The first entry of IPython's record is no cell.
        self._seen = 1

    @property
    def _cells(self):
        return self.state.shell.history_manager.input_hist_parsed

    def new_cells(self):
        """Return the cells that ran here since last time."""
        cells = self._cells
        if len(cells) < self._seen:
            self._seen = 1
        seen, self._seen = self._seen, len(cells)
        return cells[seen:]

    def pass_over(self):
        """Take the cells that other kernels have run for seen: they did nothing here."""
        self._seen = len(self._cells)


def is_users(state, thing):
    """Return whether the code of a callable is of the notebook or of a user's module."""
    home = _home(thing)
    if home == "__main__":
        return True
    if home in state.shell.extension_manager.loaded:
        return False
    return state.modules.owns(home)


def _home(thing):
    while isinstance(thing, functools.partial):
        thing = thing.func
    if isinstance(thing, types.MethodType):
        thing = type(thing.__self__)
    elif not isinstance(thing, (types.FunctionType, type)):
        thing = type(thing)
    home = getattr(thing, "__module__", None)
    return home if home in sys.modules else "__main__"


def here(values):
    """Return the values that could come."""
    return {key: value for key, value in values.items() if type(value) is not LeftBehind}
