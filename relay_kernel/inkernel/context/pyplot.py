"""Where pyplot draws: its backend, and whether it draws at once (``plt.ioff()``)."""

from __future__ import annotations

import importlib
import os
import sys

from .section import NotHere, Section

#: Of the backends that come with matplotlib, those that need no window.
FILES = frozenset(("agg", "cairo", "pdf", "pgf", "ps", "svg", "template"))
_NOTEBOOK = frozenset(("inline", "ipympl", "nbagg", "notebook", "widget"))
#: How a kernel's environment calls ``inline``, which is what draws unless a user chooses.
_INLINE = "module://matplotlib_inline.backend_inline"


class Pyplot(Section):
    """The backend that the user chose. One with windows is of the machine."""

    name = "pyplot"

    def __init__(self, state):
        super().__init__(state)
        self._start = _plain(os.environ.get("MPLBACKEND", _INLINE))

    def take(self):
        """Return what differs from a kernel whose first figure was just drawn."""
        matplotlib = sys.modules.get("matplotlib")
        backend = _chosen(matplotlib)
        if backend is None:
            return None
        taken = {} if backend == self._start else {"backend": backend}
        if _is_active() and not matplotlib.is_interactive():
            taken["interactive"] = False
        return taken

    def put(self, wire):
        """Switch to the backend, or back to that of the start."""
        if not wire and "matplotlib" not in sys.modules:
            return
        wanted = wire or {}
        backend = wanted.get("backend", self._start)
        matplotlib = importlib.import_module("matplotlib")
        if backend != _chosen(matplotlib):
            if not (backend in FILES | _NOTEBOOK or backend.startswith("module://")):
                raise NotHere(backend)
            self._switch(matplotlib, backend)
        if wanted.get("interactive") is False:
            importlib.import_module("matplotlib.pyplot").ioff()
        elif _is_active():
            matplotlib.interactive(True)

    def _switch(self, matplotlib, backend):
        if backend == "inline":
            backend = _INLINE
        matplotlib.use(backend)
        if "matplotlib.pyplot" in sys.modules:
            inline = importlib.import_module("matplotlib_inline.backend_inline")
            inline.configure_inline_support(self.state.shell, backend)


def _chosen(matplotlib):
    """Return the backend as it is set, without having matplotlib choose one now."""
    found = dict.get(matplotlib.rcParams, "backend") if hasattr(matplotlib, "rcParams") else None
    return _plain(found) if isinstance(found, str) else None


def _plain(backend):
    return "inline" if backend.lower() == _INLINE else backend.lower()


def _is_active():
    """Return whether pyplot has begun to draw: it is that which turns interactive drawing on."""
    return getattr(sys.modules.get("matplotlib.pyplot"), "_backend_mod", None) is not None
