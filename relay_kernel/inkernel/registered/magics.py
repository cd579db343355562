"""Magics that the user defined."""

from __future__ import annotations

from IPython.core.alias import Alias
from IPython.core.magic import MagicAlias

from .table import Table, here

_SIGNS = {"line": "%", "cell": "%%"}


class Magics(Table):
    """``%name`` and ``%%name``. Aliases of commands are plain data, and so a section of context."""

    name = "magic "

    def __init__(self, state):
        super().__init__(state)
        self._tables = state.shell.magics_manager.magics
        self._before = {kind: dict(self._tables[kind]) for kind in _SIGNS}
        #: The tables as they were last time, and what of them was the user's.
        self._known = (None, {})

    def found(self):
        """Return ``magic %name`` -> function."""
        if self._tables != self._known[0]:
            now = {kind: dict(self._tables[kind]) for kind in _SIGNS}
            self._known = (now, self._look(now))
        return self._known[1]

    def _look(self, now):
        return {
            f"{self.name}{sign}{magic}": function
            for kind, sign in _SIGNS.items()
            for magic, function in now[kind].items()
            if self._before[kind].get(magic) is not function and self._counts(function)
        }

    def _counts(self, function):
        if isinstance(function, Alias):
            return False
        return isinstance(function, MagicAlias) or self.is_users(function)

    def put(self, values):
        """Define these, and take away the user's others."""
        wanted = here(values)
        for key in self.found().keys() - values.keys():
            kind, magic = _parse(key[len(self.name) :])
            if magic in self._before[kind]:
                self._tables[kind][magic] = self._before[kind][magic]
            else:
                self._tables[kind].pop(magic, None)
        for key, function in wanted.items():
            kind, magic = _parse(key[len(self.name) :])
            self._tables[kind][magic] = function


def _parse(called):
    return ("cell", called[2:]) if called.startswith("%%") else ("line", called[1:])
