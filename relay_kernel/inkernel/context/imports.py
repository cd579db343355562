"""Modules that are reached as attributes of a package, and so are in no variable."""

from __future__ import annotations

import importlib
import re
import sys

from .section import Section

_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\b|import\s+([\w., \t]+))", re.MULTILINE)


class Imports(Section):
    """Modules that cells named by a dotted path (``import os.path``)."""

    name = "imports"

    def __init__(self, state):
        super().__init__(state)
        self._seen = 1
        self._names = set()

    @property
    def _cells(self):
        return self.state.shell.history_manager.input_hist_raw

    def take(self):
        """Return the names of those that were imported."""
        raw = self._cells
        for cell in raw[self._seen :]:
            self._names.update(_dotted(cell))
        self._seen = len(raw)
        return sorted(name for name in self._names if name in sys.modules)

    def put(self, wire):
        """Import them."""
        self._names.update(wire or ())
        self._seen = len(self._cells)
        for name in wire or ():
            if name not in sys.modules:
                importlib.import_module(name)


def _dotted(cell):
    """Yield the dotted module names that ``cell`` imports."""
    if "import" not in cell:
        return
    for package, names in _IMPORT.findall(cell):
        for name in (package or names).split(","):
            module = name.split()[0] if name.split() else ""
            if "." in module.strip("."):
                yield module
