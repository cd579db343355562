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
            # Some take themselves out again (hvplot), so that a cell that runs anew imports anew.
            self._names.update(name for name in _dotted(cell) if name in sys.modules)
        self._seen = len(raw)
        return sorted(self._names)

    def put(self, wire):
        """Import them, where that was not done yet."""
        self._seen = len(self._cells)
        known, self._names = self._names, set(wire or ())
        for name in wire or ():
            if name not in sys.modules and name not in known:
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
