"""Options of libraries: of each, what is not its default."""

from __future__ import annotations

import importlib
import re
import sys

from .section import Section, changed, plain

#: What is of the machine, or of the section ``pyplot``.
_OF_THE_SCREEN = ("backend", "interactive", "toolbar", "webagg")
#: How IPython's configuration calls what shows figures in the notebook.
_INLINE = "InlineBackend"


class NumpyPrint(Section):
    """How NumPy prints."""

    name = "numpy_print"

    def take(self):
        """Return the options."""
        module = sys.modules.get("numpy")
        return module and plain(module.get_printoptions())

    def put(self, wire):
        """Set the options."""
        if wire:
            importlib.import_module("numpy").set_printoptions(**wire)


class Pandas(Section):
    """Options of pandas."""

    name = "pandas"

    def take(self):
        """Return the options that are not the default."""
        config = sys.modules.get("pandas._config.config")
        return config and plain(changed_of_pandas(config))

    def put(self, wire):
        """Set options; the others go back to their default."""
        if wire is None and "pandas" not in sys.modules:
            return
        pandas = importlib.import_module("pandas")
        now = changed_of_pandas(sys.modules["pandas._config.config"])
        for name in now.keys() - (wire or {}).keys():
            pandas.reset_option(re.escape(name))
        for name, value in (wire or {}).items():
            pandas.set_option(name, value)


def changed_of_pandas(config):
    """Return the options of pandas that are not their default."""
    found = {}
    for name, option in config._registered_options.items():
        value = config._global_config
        for part in name.split("."):
            value = value[part]
        if value is not option.defval and value != option.defval:
            found[name] = value
    return found


class Matplotlib(Section):
    """Parameters of matplotlib."""

    name = "matplotlib"

    def take(self):
        """Return a blob of the parameters that are not as they were at import."""
        module = sys.modules.get("matplotlib")
        return module and self.pack(_changed_parameters(module))

    def put(self, wire):
        """Set parameters; the others go back to what they were at import."""
        if not wire:
            return
        module, wanted = importlib.import_module("matplotlib"), self.unpack(wire)
        before = {name: module.rcParamsOrig[name] for name in _changed_parameters(module)}
        for name, value in {**before, **wanted}.items():
            dict.__setitem__(module.rcParams, name, value)


def _changed_parameters(matplotlib):
    origin = matplotlib.rcParamsOrig
    return {
        name: value
        for name, value in dict.items(matplotlib.rcParams)
        if not name.startswith(_OF_THE_SCREEN) and value != dict.get(origin, name)
    }


class Colormaps(Section):
    """Colormaps that cells registered with matplotlib; what libraries did, importing them does."""

    name = "colormaps"

    def __init__(self, state):
        super().__init__(state)
        self._seen, self._named = None, {}

    def _found(self):
        registry = getattr(sys.modules.get("matplotlib"), "colormaps", None)
        maps = dict(getattr(registry, "_cmaps", ()))
        builtin = getattr(registry, "_builtin_cmaps", ())
        return {name: each for name, each in maps.items() if name not in builtin}

    def take(self):
        """Return a blob of those whose name stands in a cell, or nothing."""
        found = self._found()
        if not found:
            return None
        cells = self.state.shell.history_manager.input_hist_raw
        seen = [*found, *map(id, found.values()), len(cells)]
        if seen != self._seen:
            text = "\n".join(cells)
            self._named = {name: each for name, each in found.items() if name in text}
            self._seen = seen
        return self.pack(self._named) if self._named else None

    def put(self, wire):
        """Register them."""
        # To compare two colormaps makes something of them that is packed, too.
        if not wire or wire == self.take():
            return
        registry = importlib.import_module("matplotlib").colormaps
        for name, each in self.unpack(wire).items():
            registry.register(each, name=name, force=True)


class Inline(Section):
    """How figures are shown in the notebook: ``%config InlineBackend…``."""

    name = "inline_figures"
    _NAMES = ("figure_formats", "rc", "print_figure_kwargs", "close_figures")

    def _backend(self):
        config = sys.modules.get("matplotlib_inline.config")
        if not hasattr(config, "InlineBackend") or not config.InlineBackend.initialized():
            return None
        return config.InlineBackend.instance()

    def _defaults(self, backend):
        traits = backend.traits()
        found = {name: traits[name].default() for name in self._NAMES}
        return {**found, "figure_formats": sorted(found["figure_formats"])}

    def _now(self, backend):
        now = {name: getattr(backend, name) for name in self._NAMES}
        return {**now, "figure_formats": sorted(now["figure_formats"])}

    def take(self):
        """Return what is not the default, or is to be set once there is a figure."""
        backend = self._backend()
        if backend is None:
            return plain(dict(self.state.shell.config.get(_INLINE, {})))
        return plain(changed(self._defaults(backend), self._now(backend)))

    def put(self, wire):
        """Set it; the others go back to the default."""
        backend = self._backend()
        if backend is None:
            self.state.shell.config.pop(_INLINE, None)
            if wire:
                self.state.shell.config[_INLINE].update(wire)
            return
        now = self._now(backend)
        for name, value in {**self._defaults(backend), **(wire or {})}.items():
            if name not in now or now[name] != value:
                setattr(backend, name, set(value) if name == "figure_formats" else value)


class TorchPrint(Section):
    """How torch prints."""

    name = "torch_print"

    def take(self):
        """Return the options that are not the default."""
        module = sys.modules.get("torch._tensor_str")
        if not hasattr(module, "PRINT_OPTS"):
            return None
        before, now = vars(type(module.PRINT_OPTS)()), vars(module.PRINT_OPTS)
        return plain(changed(before, now))

    def put(self, wire):
        """Set the options; the others go back to their default."""
        module = sys.modules.get("torch._tensor_str")
        if module is None and not wire:
            return
        module = importlib.import_module("torch._tensor_str")
        vars(module.PRINT_OPTS).update({**vars(type(module.PRINT_OPTS)()), **(wire or {})})


class Sklearn(Section):
    """Options of scikit-learn."""

    name = "sklearn"

    def take(self):
        """Return the options that are not the default."""
        config = sys.modules.get("sklearn._config")
        if not hasattr(config, "_global_config"):
            return None
        return plain(changed(config._global_config, config.get_config()))

    def put(self, wire):
        """Set options; the others go back to their default."""
        if not wire and "sklearn" not in sys.modules:
            return
        config = importlib.import_module("sklearn._config")
        config.set_config(**{**plain(config._global_config), **(wire or {})})
