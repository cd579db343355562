"""Functions that the user has called around each cell, on its code, and when it imports."""

from __future__ import annotations

import sys

from .table import Table, here


class Listed(Table):
    """Things in lists, where the order counts."""

    def lists(self):
        """Return name -> list, as the shell holds it."""
        raise NotImplementedError

    def found(self):
        """Return ``… list N`` -> (whether it precedes all that is not the user's, function)."""
        found = {}
        for called, things in self.lists().items():
            front, number = True, 0
            for thing in list(things):
                if not self.is_users(thing):
                    front = False
                    continue
                found[f"{self.name}{called} {number}"] = (front, thing)
                number += 1
        return found

    def put(self, values):
        """Make these the user's part of each list."""
        wanted = {called: ([], []) for called in self.lists()}
        for key, (front, thing) in sorted(here(values).items(), key=_place):
            called = key[len(self.name) :].rpartition(" ")[0]
            if called in wanted:
                wanted[called][0 if front else 1].append(thing)
        for called, things in self.lists().items():
            before, behind = wanted[called]
            others = [thing for thing in things if not self.is_users(thing)]
            things[:] = [*before, *others, *behind]


def _place(item):
    return int(item[0].rpartition(" ")[2])


class Callbacks(Listed):
    """Callbacks on the events of the shell: ``pre_run_cell`` and so on."""

    name = "callback "

    def lists(self):
        """Return event -> callbacks."""
        return self.state.shell.events.callbacks


class Transformers(Listed):
    """What changes the text or the syntax tree of a cell before it runs."""

    name = "transformer "
    _NAMES = ("input_transformers_cleanup", "input_transformers_post", "ast_transformers")

    def lists(self):
        """Return attribute of the shell -> transformers."""
        return {name: getattr(self.state.shell, name) for name in self._NAMES}


class ImportHooks(Listed):
    """What finds modules before, or behind, Python's own ways do."""

    name = "import hook "

    def __init__(self, state):
        super().__init__(state)
        self._before = [thing for things in self.lists().values() for thing in things]

    def is_users(self, thing):
        """Return whether a finder came with a cell, and is of the user."""
        return all(thing is not each for each in self._before) and super().is_users(thing)

    def lists(self):
        """Return attribute of ``sys`` -> finders."""
        return {name: getattr(sys, name) for name in ("meta_path", "path_hooks")}
