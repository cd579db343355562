"""Containers of libraries that cells change in place: ``nltk.data.path.append(…)``."""

from __future__ import annotations

import ast
import contextlib
import re

from ..mentions import parsed
from .patches import chain_of, imported
from .table import CellReader

_METHODS = frozenset(
    [
        *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"),
        *("update", "setdefault", "popitem", "add", "discard", "__setitem__", "__delitem__"),
    ]
)
#: A cell without it names no such container where it changes it.
_CHANGES = re.compile(rf"\.\w+\s*(\[|\.\s*({'|'.join(_METHODS)})\s*\(|\S?=)")


class Contents(CellReader):
    """Lists, dicts and sets of modules of libraries that cells name where they change them."""

    name = "content of "

    def __init__(self, state):
        super().__init__(state)
        #: ``module.attribute`` -> the container
        self._found = {}

    def expect(self, code):
        """Note what the containers hold that a cell is about to change."""
        self._look_through(code, is_before=True)

    def found(self):
        """Return ``content of module.attribute`` -> what stands for the container in a dump."""
        for cell in self.new_cells():
            # What the user's objects are asked for may be answered by code of theirs.
            with contextlib.suppress(Exception):
                self._look_through(cell, is_before=False)
        stand = {path: self.state.named.stand_in(thing) for path, thing in self._found.items()}
        return {self.name + path: root for path, root in stand.items() if root is not None}

    def put(self, values):
        """Note which are told of: they have been filled where they are."""
        self.pass_over()
        self._found = {
            key[len(self.name) :]: thing
            for key, thing in values.items()
            if self.state.named.place(thing) is not None
        }

    def _look_through(self, code, *, is_before):
        tree = parsed(code) if _CHANGES.search(code) else None
        if tree is None:
            return
        names = imported(tree)
        for chain in filter(None, map(chain_of, _changed(tree))):
            thing = names.get(chain[0], self.state.user_ns.get(chain[0]))
            for part in chain[1:]:
                thing = getattr(thing, "__dict__", {}).get(part)
            self._note(thing, is_before)

    def _note(self, thing, is_before):
        root = self.state.named.stand_in(thing)
        if root is None or self.state.named.is_in_context((root.module, root.attribute)):
            return
        path = f"{root.module}.{root.attribute}"
        if path in self._found:
            return
        self._found[path] = thing
        if is_before:
            self.state.named.changes(root)
        else:
            self.state.named.always_says(root)


def _changed(tree):
    """Yield the syntax of what a cell changes in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield node.value
        elif isinstance(node, ast.AugAssign):
            yield node.target
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) in _METHODS:
            yield node.func.value
