"""Figures that pyplot holds open: those which ``plt.title()`` in the next cell is about.

Where they are drawn inline, pyplot closes them at the end of each cell, so there are none.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import pickle
import sys

from ..context.pyplot import FILES
from ..reasons import StaysError
from .table import Table, here, is_users

#: Base class of all figures.
FIGURE = ("matplotlib.figure", "Figure")
_BUILTIN = "matplotlib.backends.backend_"


class Figures(Table):
    """The open figures by their numbers; the one that is drawn on is the last."""

    name = "figure "

    def __init__(self, state):
        super().__init__(state)
        #: what stands for canvases that cannot travel
        self._canvases = {}

    def found(self):
        """Return ``figure NUMBER`` -> (place in the order, number, figure)."""
        found, canvases = {}, {}
        for place, (number, manager) in enumerate(list(_open().items())):
            canvas = manager.canvas
            value = (place, number, canvas.figure)
            if not _travels(canvas):
                value = canvases[id(canvas)] = self._canvases.get(id(canvas)) or Canvas(canvas)
            found[f"{self.name}{number}"] = value
        self._canvases = canvases
        return found

    def put(self, values):
        """Have exactly these open, beside those of this kernel whose canvas cannot travel."""
        if not values and not _open():
            return
        wanted = here(values)
        pyplot = importlib.import_module("matplotlib.pyplot")
        for number in list(_open()):
            if f"{self.name}{number}" not in values:
                pyplot.close(number)
        figures = [each for each in wanted.values() if not isinstance(each, Canvas)]
        # The backend comes with the first figure, and then is to be told as well.
        backend = pyplot._get_backend_mod() if figures else None
        with _nothing_to_show():
            for _, number, figure in sorted(figures, key=lambda each: each[0]):
                _make_current(backend, number, figure)


class Canvas:
    """Stands for an open figure that is drawn in a window or a widget."""

    def __init__(self, canvas):
        self.canvas = canvas

    def __reduce__(self):
        raise StaysError(self, "what it is drawn on belongs to one kernel")


def _open():
    """Return number -> what pyplot knows of an open figure; the last is drawn on."""
    return getattr(getattr(sys.modules.get("matplotlib._pylab_helpers"), "Gcf", None), "figs", {})


def _travels(canvas):
    return type(canvas).__module__ in {_BUILTIN + name for name in FILES}


def _make_current(backend, number, figure):
    gcf = sys.modules["matplotlib._pylab_helpers"].Gcf
    manager = gcf.figs.get(number)
    if manager is not None and manager.canvas.figure is figure:
        gcf.set_active(manager)
        return
    gcf.destroy(number)
    gcf._set_new_active_manager(backend.new_figure_manager_given_figure(number, figure))


@contextlib.contextmanager
def _nothing_to_show():
    """Have the end of the next cell show no figure which that did not draw."""
    show = getattr(sys.modules.get("matplotlib_inline.backend_inline"), "show", None)
    before = list(getattr(show, "_to_draw", ())), getattr(show, "_draw_called", False)
    try:
        yield
    finally:
        if show is not None:
            show._to_draw, show._draw_called = before


def reduce_figure(pickler, figure):
    """Reduce a figure by its own rules, but that unpacking does not open it: that is for above."""
    reduced = figure.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    if isinstance(reduced, tuple) and len(reduced) > 2 and isinstance(reduced[2], dict):
        reduced[2].pop("_restore_to_pylab", None)
    return reduced


def _calls_users(state, function):
    # A slider, say, has a function of its own call the one that it was given.
    held = gc.get_referents(*(getattr(function, "__closure__", None) or ()))
    return any(is_users(state, each) for each in (function, *held) if callable(each))


def reduce_callbacks(pickler, registry):
    """Reduce a registry of callbacks, with those of the user, which its own way leaves out.

    That way also uses up a number each time. It is put back, so that a figure that nobody touched
    packs the same again.
    """
    reduced = registry.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    state = reduced[2]
    if not isinstance(state, dict) or not isinstance(state.get("_cid_gen"), int):
        return reduced
    registry._cid_gen = itertools.count(state["_cid_gen"])
    users = {
        signal: {
            cid: function
            for cid, proxy in own.items()
            if (function := proxy()) is not None and _calls_users(pickler.state, function)
        }
        for signal, own in registry.callbacks.items()
    }
    callbacks = {
        signal: {**own, **users.get(signal, {})} for signal, own in state["callbacks"].items()
    }
    return (*reduced[:2], {**state, "callbacks": callbacks}, *reduced[3:])
