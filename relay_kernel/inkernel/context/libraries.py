"""How sessions set libraries up: what a call changed that is in no variable, one library a row.

``jax.config.update(…)``, ``nest_asyncio.apply()``, ``hv.extension("bokeh")``. Each row reads what
is set as values for JSON, and sets it through the library's own door, where it is another here.
"""

from __future__ import annotations

import collections
import functools
import importlib
import sys
from typing import NamedTuple

from IPython.utils.capture import capture_output

from .section import Section, plain


class Setup(NamedTuple):
    """One thing that a library may be set to."""

    name: str
    #: That is imported where anything is set.
    module: str
    #: (shell, module) -> what is set; None: nothing that is worth a word
    get: object
    #: (shell, module, what the other side has)
    set: object


class Library(Section):
    """What one library is set to.

    Args:
        state: the kernel.
        setup: the row.
    """

    def __init__(self, state, setup):
        super().__init__(state)
        self._setup = setup
        self.name = setup.name

    def take(self):
        """Return what is set, where the library was imported."""
        module = sys.modules.get(self._setup.module)
        return None if module is None else self._setup.get(self.state.shell, module)

    def put(self, wire):
        """Set it. Without a word from the other side it is left alone: nothing was imported."""
        if not wire:
            return
        module = importlib.import_module(self._setup.module)
        if self._setup.get(self.state.shell, module) != wire:
            # As in a cell; what it shows about that was shown where the cell ran.
            with self.state.shell.builtin_trap, capture_output():
                self._setup.set(self.state.shell, module, wire)


# ----------------------------------------------------------------- arithmetic

#: What is of the numbers. The rest is of the machine: its devices, its caches.
_OF_JAX = (
    *("jax_enable_x64", "jax_debug_nans", "jax_debug_infs", "jax_disable_jit"),
    *("jax_default_matmul_precision", "jax_default_prng_impl", "jax_numpy_dtype_promotion"),
    *("jax_numpy_rank_promotion", "jax_threefry_partitionable", "jax_traceback_filtering"),
)


def _get_jax(shell, jax):
    holders = jax.config.values
    return plain({name: holders[name] for name in _OF_JAX if name in holders})


def _set_jax(shell, jax, wire):
    now = _get_jax(shell, jax)
    for name, value in wire.items():
        if name in now and now[name] != value:
            jax.config.update(name, value)


# ----------------------------------------------------------------- pictures


def _get_altair(shell, altair):
    names = ("data_transformers", "renderers", "theme" if hasattr(altair, "theme") else "themes")
    parts = {name: getattr(altair, name) for name in names}
    return plain({name: [part.active, dict(part.options)] for name, part in parts.items()})


def _set_altair(shell, altair, wire):
    now = _get_altair(shell, altair)
    for name, (active, options) in wire.items():
        if now.get(name) != [active, options]:
            getattr(altair, name).enable(active, **options)


def _get_plotly(shell, io):
    return plain({"renderer": io.renderers.default, "template": io.templates.default})


def _set_plotly(shell, io, wire):
    io.renderers.default, io.templates.default = wire.get("renderer"), wire.get("template")


def _get_bokeh(shell, state):
    return state.curstate().notebook_type


def _set_bokeh(shell, state, wire):
    state.curstate().output_notebook(wire)


def _get_holoviews(shell, holoviews):
    store = holoviews.Store
    rest = [each for each in store.loaded_backends() if each != store.current_backend]
    return [store.current_backend, *rest] if store.loaded_backends() else None


def _set_holoviews(shell, holoviews, wire):
    holoviews.extension(*wire, logo=False)


# ----------------------------------------------------------------- the session


def _get_xarray(shell, options):
    return plain(dict(options.OPTIONS))


def _set_xarray(shell, options, wire):
    options.set_options(**{name: wire[name] for name in wire if name in options.OPTIONS})


@functools.lru_cache(maxsize=1)
def _dask_of_machine(config):
    """Return what dask is set to by its defaults and the files and the environment here."""
    return config.merge(*config.defaults, config.collect())


def _get_dask(shell, config):
    return plain(dict(_leaves(config.config, _dask_of_machine(config)))) or None


def _leaves(now, before, path=""):
    """Yield ``a.b`` and its value for what is not as before."""
    for key, value in now.items():
        there = before.get(key) if isinstance(before, dict) else None
        if isinstance(value, dict):
            yield from _leaves(value, there, f"{path}{key}.")
        elif value != there:
            yield f"{path}{key}", value


def _set_dask(shell, config, wire):
    config.set(wire)


def _get_nest_asyncio(shell, nest_asyncio):
    return hasattr(sys.modules.get("asyncio"), "_nest_patched") or None


def _set_nest_asyncio(shell, nest_asyncio, wire):
    nest_asyncio.apply()


def _get_rich_pretty(shell, pretty):
    text = shell.display_formatter.formatters["text/plain"]
    return type(text).__module__ == pretty.__name__ or None


def _set_rich_pretty(shell, pretty, wire):
    pretty.install()


def _get_rich_traceback(shell, traceback):
    return getattr(shell.showtraceback, "__module__", "") == traceback.__name__ or None


def _set_rich_traceback(shell, traceback, wire):
    traceback.install()


_BASE_DIALECTS = frozenset(("excel", "excel-tab", "unix"))
_OF_DIALECT = (
    *("delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting"),
    *("skipinitialspace", "strict"),
)


def _get_csv(shell, csv):
    names = set(csv.list_dialects()) - _BASE_DIALECTS
    return {n: {a: getattr(csv.get_dialect(n), a) for a in _OF_DIALECT} for n in names} or None


def _set_csv(shell, csv, wire):
    for name, attributes in wire.items():
        csv.register_dialect(name, **attributes)


def _get_start_method(shell, multiprocessing):
    return multiprocessing.get_start_method(allow_none=True)


def _set_start_method(shell, multiprocessing, wire):
    multiprocessing.set_start_method(wire, force=True)


def _get_keras_names(shell, state):
    return dict(state.get_global_attribute("object_name_uids", {})) or None


def _set_keras_names(shell, state, wire):
    names = state.get_global_attribute("object_name_uids", collections.defaultdict(int), True)
    names.clear()
    names.update(wire)


#: What values may be made by while they are unpacked.
EARLY = (Setup("jax", "jax", _get_jax, _set_jax),)
LATE = (
    Setup("altair", "altair", _get_altair, _set_altair),
    Setup("plotly", "plotly.io", _get_plotly, _set_plotly),
    Setup("bokeh", "bokeh.io.state", _get_bokeh, _set_bokeh),
    Setup("holoviews", "holoviews", _get_holoviews, _set_holoviews),
    Setup("xarray", "xarray.core.options", _get_xarray, _set_xarray),
    Setup("dask", "dask.config", _get_dask, _set_dask),
    Setup("csv", "csv", _get_csv, _set_csv),
    Setup("start_method", "multiprocessing", _get_start_method, _set_start_method),
    Setup(
        "keras_names", "keras.src.backend.common.global_state", _get_keras_names, _set_keras_names
    ),
    Setup("nest_asyncio", "nest_asyncio", _get_nest_asyncio, _set_nest_asyncio),
    Setup("rich_pretty", "rich.pretty", _get_rich_pretty, _set_rich_pretty),
    Setup("rich_traceback", "rich.traceback", _get_rich_traceback, _set_rich_traceback),
)
