"""State of a session that is in no variable: folder, environment, random numbers, options.

Each section is taken and put by itself, so that one that fails costs only itself. A library is
imported for its section only if the sender had imported it.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import random
import re
import sys

from .blobs import marks

#: Of the machine or of the login, not of the notebook: never sent.
_OF_THE_MACHINE = re.compile(
    "PATH|LD_LIBRARY_PATH|HOME|USER|LOGNAME|SHELL|HOSTNAME|PWD|OLDPWD|TMPDIR|TEMP|TMP|DISPLAY"
    "|VIRTUAL_ENV.*|CONDA.*|SSH_.*|XDG_.*|JPY_.*|JUPYTER_.*|RELAY_.*|DBUS_.*|WAYLAND.*|COLUMNS|LINES"
)
_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\b|import\s+([\w., \t]+))", re.MULTILINE)
#: Matplotlib's choice of window, which is of the machine.
_OF_THE_SCREEN = ("backend", "interactive", "toolbar", "webagg")


class Baseline:
    """How this kernel was when it started; what is the same is not sent.

    That lets a receiver keep its own start folder and environment where the user changed
    nothing.
    """

    def __init__(self):
        self.folder = _folder()
        self.environ = dict(os.environ)
        self.path = list(sys.path)
        self.recursion = sys.getrecursionlimit()


class Context:
    """The sections, as this kernel takes and puts them.

    Args:
        state: the kernel.
    """

    def __init__(self, state):
        self.state = state
        self.baseline = state.baseline
        self._packed = {}
        self._random = None
        self._seen = 1
        self._imports = set()
        #: The environment as it was last time, and what of it had changed.
        self._environ = (None, {})

    def capture(self):
        """Return section -> what travels, for sections that have something to say."""
        taken = {}
        for name in (*_EARLY, *_LATE):
            try:
                value = getattr(self, f"take_{name}")()
            except Exception:
                # A library whose inside is not as expected has nothing to say.
                continue
            if value:
                taken[name] = value
        return taken

    def put_early(self, wire, undo, problems):
        """Put what unpacking depends on, and add to ``undo`` how to take it back."""
        undo.append(self._undo_early())
        self._put(_EARLY, wire, problems)

    def put_late(self, wire, problems):
        """Put the rest."""
        self._put(_LATE, wire, problems)

    def _put(self, names, wire, problems):
        for name in names:
            try:
                getattr(self, f"put_{name}")(wire.get(name))
            except Exception as error:
                problems[name] = f"{type(error).__name__}: {error}"

    def _undo_early(self):
        environ, path, folder = dict(os.environ), list(sys.path), _folder()

        def put_back():
            sys.path[:] = path
            for name in os.environ.keys() - environ.keys():
                del os.environ[name]
            os.environ.update(environ)
            if folder is not None:
                os.chdir(folder)

        return put_back

    def _keep(self, section, value):
        """Return a blob of ``value``, the one of last time if it is equal."""
        data = memoryview(pickle.dumps(value, protocol=5))
        digests = marks(data)
        known = self._packed.get(section)
        if known is None or known[0] != digests:
            known = self._packed[section] = (digests, self.state.store.keep(data, digests, {}))
        return known[1]

    def _read(self, blob):
        return pickle.loads(self.state.store.read(blob))

    # ---------------------------------------------------------------- before unpacking

    def take_environ(self):
        """Return name -> value (None: deleted) of what changed since the kernel started."""
        raw = os.environ._data
        if raw == self._environ[0]:
            return self._environ[1]
        self._environ = (dict(raw), self._changed_environ())
        return self._environ[1]

    def _changed_environ(self):
        before, now = self.baseline.environ, dict(os.environ)
        names = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        return {name: now.get(name) for name in sorted(names) if not _of_the_machine(name)}

    def put_environ(self, changed):
        """Make the environment that of the start, and then as changed."""
        changed = changed or {}
        ours = self.take_environ()
        for name in [*ours, *changed]:
            value = changed[name] if name in changed else self.baseline.environ.get(name)
            if value is None:
                os.environ.pop(name, None)
            elif os.environ.get(name) != value:
                os.environ[name] = value

    def take_path(self):
        """Return [entry, whether it was put at the front] of added ones."""
        before = set(self.baseline.path)
        known = [at for at, entry in enumerate(sys.path) if entry in before]
        first = known[0] if known else len(sys.path)
        return [
            [_travelling(entry), at <= first + 1]
            for at, entry in enumerate(sys.path)
            if isinstance(entry, str) and entry not in before
        ]

    def put_path(self, added):
        """Make ``sys.path`` that of the start with the added entries."""
        added = [[_local(entry), front] for entry, front in added or []]
        front = [entry for entry, before in added if before]
        back = [entry for entry, before in added if not before]
        wanted = [*front, *self.baseline.path, *back]
        if wanted != sys.path:
            sys.path[:] = wanted
            importlib.invalidate_caches()

    def take_folder(self):
        """Return the working folder if it is not that of the start."""
        folder = _folder()
        return None if folder == self.baseline.folder else _travelling(folder)

    def put_folder(self, folder):
        """Change the working folder; None is that of the start."""
        wanted = self.baseline.folder if folder is None else _local(folder)
        if wanted is None or wanted == _folder():
            return
        if not os.path.isdir(wanted):
            raise NotADirectoryError(f"there is no folder {wanted} here, so it stays {_folder()}")
        os.chdir(wanted)

    # ---------------------------------------------------------------- with the names

    def take_random(self):
        """Return the state of ``random``."""
        now = random.getstate()
        known = self._random
        if known is None or known[0] != now:
            known = self._random = (now, self._keep("random", now))
        return known[1]

    def put_random(self, blob):
        """Set the state of ``random``."""
        if blob and blob != self.take_random():
            random.setstate(self._read(blob))

    def take_numpy_random(self):
        """Return the state of NumPy's global generator."""
        module = sys.modules.get("numpy.random")
        return module and self._keep("numpy_random", module.get_state(legacy=False))

    def put_numpy_random(self, blob):
        """Set the state of NumPy's global generator."""
        if blob:
            importlib.import_module("numpy.random").set_state(self._read(blob))

    def take_numpy_print(self):
        """Return NumPy's print options."""
        module = sys.modules.get("numpy")
        return module and _plain(module.get_printoptions())

    def put_numpy_print(self, options):
        """Set NumPy's print options."""
        if options:
            importlib.import_module("numpy").set_printoptions(**options)

    def take_pandas(self):
        """Return the pandas options that are not the default."""
        config = sys.modules.get("pandas._config.config")
        return config and _plain(_changed_options(config))

    def put_pandas(self, options):
        """Set pandas options; the others go back to their default."""
        if options is None and "pandas" not in sys.modules:
            return
        pandas = importlib.import_module("pandas")
        changed = _changed_options(sys.modules["pandas._config.config"])
        for name in changed.keys() - (options or {}).keys():
            pandas.reset_option(re.escape(name))
        for name, value in (options or {}).items():
            pandas.set_option(name, value)

    def take_matplotlib(self):
        """Return the matplotlib parameters that are not as they were at import."""
        module = sys.modules.get("matplotlib")
        return module and self._keep("matplotlib", _changed_parameters(module))

    def put_matplotlib(self, blob):
        """Set matplotlib parameters; the others go back to what they were at import."""
        if not blob:
            return
        module, wanted = importlib.import_module("matplotlib"), self._read(blob)
        before = {name: module.rcParamsOrig[name] for name in _changed_parameters(module)}
        for name, value in {**before, **wanted}.items():
            dict.__setitem__(module.rcParams, name, value)

    def take_recursion(self):
        """Return the recursion limit if it was changed."""
        limit = sys.getrecursionlimit()
        return limit if limit != self.baseline.recursion else None

    def put_recursion(self, limit):
        """Set the recursion limit."""
        sys.setrecursionlimit(limit or self.baseline.recursion)

    def take_imports(self):
        """Return modules that cells named by a dotted path (``import os.path``)."""
        raw = self.state.shell.history_manager.input_hist_raw
        for cell in raw[self._seen :]:
            self._imports.update(_dotted(cell))
        self._seen = len(raw)
        return sorted(name for name in self._imports if name in sys.modules)

    def put_imports(self, names):
        """Import modules that are reached as attributes of a package."""
        self._imports.update(names or ())
        self._seen = len(self.state.shell.history_manager.input_hist_raw)
        for name in names or ():
            if name not in sys.modules:
                importlib.import_module(name)


_EARLY = ("environ", "path", "folder")
_LATE = (
    *("imports", "random", "numpy_random", "numpy_print"),
    *("pandas", "matplotlib", "recursion"),
)


def _folder():
    try:
        return os.getcwd()
    except OSError:
        return None


def _travelling(path):
    """Return ``path`` with the home folder as ``~``, so that it means the same elsewhere."""
    home = os.path.expanduser("~")
    if path == home or path.startswith(home + os.sep):
        return "~" + path[len(home) :]
    return path


def _local(path):
    return os.path.expanduser(path) if path[:1] == "~" else path


def _of_the_machine(name):
    return _OF_THE_MACHINE.fullmatch(name) is not None


def _plain(options):
    """Return the options that JSON can carry and give back as they were."""
    return {name: value for name, value in options.items() if _is_plain(value)}


def _is_plain(value):
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def _changed_options(config):
    changed = {}
    for name, option in config._registered_options.items():
        value = config._global_config
        for part in name.split("."):
            value = value[part]
        if value is not option.defval and value != option.defval:
            changed[name] = value
    return changed


def _changed_parameters(matplotlib):
    origin = matplotlib.rcParamsOrig
    return {
        name: value
        for name, value in dict.items(matplotlib.rcParams)
        if not name.startswith(_OF_THE_SCREEN) and value != dict.get(origin, name)
    }


def _dotted(cell):
    """Yield the dotted module names that ``cell`` imports."""
    if "import" not in cell:
        return
    for package, names in _IMPORT.findall(cell):
        for name in (package or names).split(","):
            module = name.split()[0] if name.split() else ""
            if "." in module.strip("."):
                yield module
