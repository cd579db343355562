"""What belongs to IPython: extensions, aliases, folders visited, how results are shown."""

from __future__ import annotations
import __future__

import os

from ..homes import local, travelling
from ..reasons import why_not_loaded
from .section import Section, changed

#: Name of a feature -> its flag for the compiler.
_FUTURE = {name: getattr(__future__, name).compiler_flag for name in __future__.all_feature_names}
_AUTORELOAD = {"enabled": False, "check_all": False, "autoload_obj": False, "hide_errors": False}


class Extensions(Section):
    """IPython extensions that were loaded: they are loaded again by name."""

    name = "extensions"

    def __init__(self, state):
        super().__init__(state)
        self._manager = state.shell.extension_manager
        self._before = frozenset(self._manager.loaded)

    def take(self):
        """Return their names."""
        return sorted(self._manager.loaded - self._before)

    def put(self, wire):
        """Load what is not loaded, and unload what should not be."""
        wanted = set(wire or ())
        for name in self._manager.loaded - self._before - wanted:
            self._manager.unload_extension(name)
        failed = []
        for name in sorted(wanted - self._manager.loaded):
            try:
                self._manager.load_extension(name)
            except Exception as error:
                failed.append(f"{name}: {why_not_loaded(error)}")
        if failed:
            raise ImportError("; ".join(failed))


class Autoreload(Section):
    """The mode of ``%autoreload``."""

    name = "autoreload"

    def _reloader(self):
        magics = dict.get(self.state.shell.magics_manager.registry, "AutoreloadMagics")
        return getattr(magics, "_reloader", None)

    def take(self):
        """Return the switches that are on, and the modules it was told of."""
        reloader = self._reloader()
        if reloader is None:
            return None
        now = {name: getattr(reloader, name, False) for name in _AUTORELOAD}
        told = {"modules": sorted(reloader.modules), "skipped": sorted(reloader.skip_modules)}
        return {**changed(_AUTORELOAD, now), **{name: one for name, one in told.items() if one}}

    def put(self, wire):
        """Set the switches and the modules."""
        reloader = self._reloader()
        if reloader is None:
            return
        wanted = {**_AUTORELOAD, "modules": (), "skipped": (), **(wire or {})}
        for name in _AUTORELOAD:
            setattr(reloader, name, wanted[name])
        reloader.modules = dict.fromkeys(wanted["modules"], True)
        reloader.skip_modules = dict.fromkeys(wanted["skipped"], True)


class Future(Section):
    """What cells imported from ``__future__``: it holds for all cells that follow."""

    name = "future"

    def __init__(self, state):
        super().__init__(state)
        self._before = self._now()

    def _now(self):
        flags = self.state.shell.compile.flags
        return [name for name, flag in _FUTURE.items() if flags & flag]

    def take(self):
        """Return the names of all features that are on, if that is not as at the start."""
        now = self._now()
        return None if now == self._before else now

    def put(self, wire):
        """Have exactly these on."""
        compiler = self.state.shell.compile
        wanted = self._before if wire is None else wire
        for name, flag in _FUTURE.items():
            compiler.flags = compiler.flags | flag if name in wanted else compiler.flags & ~flag


class Aliases(Section):
    """Aliases of commands of the system."""

    name = "aliases"

    def __init__(self, state):
        super().__init__(state)
        self._manager = state.shell.alias_manager
        self._before = dict(self._manager.aliases)

    def take(self):
        """Return name -> command (None: taken away) of what was changed."""
        before, now = self._before, dict(self._manager.aliases)
        if now == before:
            return None
        return {
            name: now.get(name)
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        }

    def put(self, wire):
        """Define and take away."""
        now = dict(self._manager.aliases)
        wanted = {**dict.fromkeys(now), **self._before, **(wire or {})}
        for name, command in wanted.items():
            if command == now.get(name):
                continue
            if command is None:
                self._manager.undefine_alias(name)
            else:
                self._manager.define_alias(name, command)


class Folders(Section):
    """``_dh``, the folders visited, and the stack of ``%pushd``."""

    name = "folders"

    def take(self):
        """Return the folders after the first, and the stack."""
        visited = [os.fspath(path) for path in self.state.user_ns.get("_dh") or ()][1:]
        stack = list(self.state.shell.dir_stack)
        if not visited and not stack:
            return None
        return [list(map(travelling, visited)), list(map(travelling, stack))]

    def put(self, wire):
        """Set both."""
        visited, stack = wire or ([], [])
        known = self.state.user_ns.get("_dh")
        if known:
            kind = type(known[0])
            known[1:] = [kind(local(path)) for path in visited]
        self.state.shell.dir_stack[:] = list(map(local, stack))


class Display(Section):
    """How results are shown: ``%precision``, ``%pprint``, kinds of output."""

    name = "display"
    _OF_TEXT = ("float_precision", "float_format", "pprint", "max_seq_length", "max_width")

    def __init__(self, state):
        super().__init__(state)
        self._before = self._now()

    def _now(self):
        shown = self.state.shell.display_formatter
        text = shown.formatters["text/plain"]
        # rich puts a formatter of its own in the place of this one, which has none of them.
        found = {name: getattr(text, name) for name in self._OF_TEXT if hasattr(text, name)}
        return {**found, "active_types": list(shown.active_types)}

    def take(self):
        """Return what was changed."""
        return changed(self._before, self._now())

    def put(self, wire):
        """Set what was changed; the others go back to what they were."""
        shown = self.state.shell.display_formatter
        wanted = {**self._before, **(wire or {})}
        for name in self._OF_TEXT:
            text = shown.formatters["text/plain"]
            if hasattr(text, name) and getattr(text, name) != wanted[name]:
                setattr(text, name, wanted[name])
        if shown.active_types != wanted["active_types"]:
            shown.active_types = wanted["active_types"]


class Completer(Section):
    """How names are completed: ``%config IPCompleter.use_jedi = False``."""

    name = "completer"
    _NAMES = ("use_jedi", "greedy", "evaluation", "omit__names", "merge_completions")

    def __init__(self, state):
        super().__init__(state)
        self._before = self._now()

    def _now(self):
        completer = self.state.shell.Completer
        return {name: getattr(completer, name) for name in self._NAMES if hasattr(completer, name)}

    def take(self):
        """Return what was changed."""
        return changed(self._before, self._now())

    def put(self, wire):
        """Set what was changed; the others go back to what they were."""
        wanted = {**self._before, **(wire or {})}
        for name, value in changed(self._now(), wanted).items():
            setattr(self.state.shell.Completer, name, value)


class Switches(Section):
    """Switches of the shell: which results are shown, ``%xmode``, ``%pdb``, ``%automagic``."""

    name = "switches"
    _NAMES = ("ast_node_interactivity", "automagic", "autocall", "autoawait", "call_pdb")

    def __init__(self, state):
        super().__init__(state)
        self._before = self._now()

    def _now(self):
        shell = self.state.shell
        found = {name: getattr(shell, name) for name in self._NAMES}
        return {**found, "xmode": shell.InteractiveTB.mode}

    def take(self):
        """Return what was changed."""
        return changed(self._before, self._now())

    def put(self, wire):
        """Set what was changed; the others go back to what they were."""
        wanted = {**self._before, **(wire or {})}
        for name, value in changed(self._now(), wanted).items():
            if name == "xmode":
                self.state.shell.InteractiveTB.set_mode(mode=value)
            else:
                setattr(self.state.shell, name, value)
