"""What belongs to the process: environment, search path, folder, locale, recursion."""

from __future__ import annotations

import gc
import importlib
import locale
import os
import re
import socket
import sys
import time

from ..homes import local, travelling
from .section import Section, changed

#: Of the machine or of the login, not of the notebook: never sent.
_OF_THE_MACHINE = re.compile(
    "PATH|LD_LIBRARY_PATH|HOME|USER|LOGNAME|SHELL|HOSTNAME|PWD|OLDPWD|TMPDIR|TEMP|TMP|DISPLAY"
    "|VIRTUAL_ENV.*|CONDA.*|SSH_.*|XDG_.*|JPY_.*|JUPYTER_.*|RELAY_.*|DBUS_.*|WAYLAND.*|COLUMNS|LINES"
)


class Environ(Section):
    """Environment variables that changed since the kernel started: never any other."""

    name = "environ"

    def __init__(self, state):
        super().__init__(state)
        self._before = dict(os.environ)
        #: The environment as it was last time, and what of it had changed.
        self._known = (None, {})

    def take(self):
        """Return name -> value (None: deleted)."""
        raw = os.environ._data
        if raw != self._known[0]:
            self._known = (dict(raw), self._changed())
        return self._known[1]

    def _changed(self):
        before, now = self._before, dict(os.environ)
        names = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        of_the_user = sorted(name for name in names if not _OF_THE_MACHINE.fullmatch(name))
        return {name: now.get(name) for name in of_the_user}

    def put(self, wire):
        """Make the environment that of the start, and then as changed."""
        wanted, zone = wire or {}, os.environ.get("TZ")
        for name in [*self.take(), *wanted]:
            value = wanted[name] if name in wanted else self._before.get(name)
            if value is None:
                os.environ.pop(name, None)
            elif os.environ.get(name) != value:
                os.environ[name] = value
        if os.environ.get("TZ") != zone and hasattr(time, "tzset"):
            time.tzset()


class SearchPath(Section):
    """Entries that were added to ``sys.path``."""

    name = "path"

    def __init__(self, state):
        super().__init__(state)
        self._before = list(sys.path)

    def take(self):
        """Return [entry, whether it was put at the front] of each."""
        before = set(self._before)
        known = [at for at, entry in enumerate(sys.path) if entry in before]
        first = known[0] if known else len(sys.path)
        return [
            [travelling(entry), at <= first + 1]
            for at, entry in enumerate(sys.path)
            if isinstance(entry, str) and entry not in before
        ]

    def put(self, wire):
        """Make ``sys.path`` that of the start with the added entries."""
        added = [[local(entry), front] for entry, front in wire or []]
        front = [entry for entry, before in added if before]
        back = [entry for entry, before in added if not before]
        wanted = [*front, *self._before, *back]
        if wanted != sys.path:
            sys.path[:] = wanted
            importlib.invalidate_caches()


class Folder(Section):
    """The working folder."""

    name = "folder"

    def __init__(self, state):
        super().__init__(state)
        self._before = current_folder()

    def take(self):
        """Return the folder if it is not that of the start."""
        folder = current_folder()
        return None if folder == self._before else travelling(folder)

    def put(self, wire):
        """Change the working folder."""
        wanted = self._before if wire is None else local(wire)
        if wanted is None or wanted == current_folder():
            return
        if not os.path.isdir(wanted):
            raise NotADirectoryError(
                f"there is no folder {wanted} here, so it stays {current_folder()}"
            )
        os.chdir(wanted)


def current_folder():
    """Return the working folder, or None if it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return None


class Limits(Section):
    """What the interpreter does by a number."""

    name = "limits"

    def __init__(self, state):
        super().__init__(state)
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._before = self._now()

    def _now(self):
        self._umask = _umask(self._umask)
        return {
            **{name: ask() for name, (ask, _) in _LIMITS.items()},
            "umask": self._umask,
            "collector": self.state.collecting,
            "collector's thresholds": list(gc.get_threshold()),
        }

    def take(self):
        """Return name -> value of those that were changed."""
        return changed(self._before, self._now())

    def put(self, wire):
        """Set each, to what it was at the start if it is not among these."""
        now = self._now()
        for name, value in {**self._before, **(wire or {})}.items():
            if name in now and now[name] != value:
                self._set(name, value)

    def _set(self, name, value):
        if name == "umask":
            os.umask(value)
        elif name == "collector":
            # It is off while a state is put in place, and set to this behind that.
            self.state.collecting = value
        elif name == "collector's thresholds":
            gc.set_threshold(*value)
        else:
            _LIMITS[name][1](value)


def _umask(guess):
    """Return the umask. It can only be asked for by setting one, which does nothing if it is it."""
    found = os.umask(guess)
    if found != guess:
        os.umask(found)
    return found


#: Name -> (how it is asked, how it is set).
_LIMITS = {
    "recursion": (sys.getrecursionlimit, sys.setrecursionlimit),
    "switch interval": (sys.getswitchinterval, sys.setswitchinterval),
    "socket timeout": (socket.getdefaulttimeout, socket.setdefaulttimeout),
}
if hasattr(sys, "set_int_max_str_digits"):
    _LIMITS["digits"] = sys.get_int_max_str_digits, sys.set_int_max_str_digits


class Locale(Section):
    """How numbers, dates and letters are written."""

    name = "locale"

    def __init__(self, state):
        super().__init__(state)
        self._before = locale.setlocale(locale.LC_ALL)

    def take(self):
        """Return the locale if it was changed."""
        now = locale.setlocale(locale.LC_ALL)
        return now if now != self._before else None

    def put(self, wire):
        """Set the locale."""
        wanted = wire or self._before
        if wanted == locale.setlocale(locale.LC_ALL):
            return
        try:
            locale.setlocale(locale.LC_ALL, wanted)
        except locale.Error:
            raise LookupError(f"the locale {wanted} is not installed here") from None
