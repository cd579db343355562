"""What the user gave to libraries to hold: magics, callbacks, filters, open figures.

These are objects of the user that no variable need hold, and they may share others with variables.
So each is a root (``"s"``) of the state like a variable: it is packed with what it shares, and one
that cannot travel costs only itself and is told by name. What a library or an extension registered
is not the user's: importing or loading it does that again.
"""

from __future__ import annotations

import contextlib

from ..reasons import one_line
from ..tombstone import LeftBehind
from .callbacks import Callbacks, ImportHooks, Transformers
from .contents import Contents
from .exceptions import ExceptionHandler
from .figures import Figures
from .formatters import Formatters
from .handlers import LogHandlers
from .magics import Magics
from .options import Options
from .patches import Patches
from .pytrees import Pytrees
from .recipes import Recipes
from .services import Services
from .setups import SetUps
from .signals import Signals
from .stores import Stores
from .warning_filters import WarningFilters

_KINDS = (
    Magics,
    Callbacks,
    Transformers,
    ImportHooks,
    ExceptionHandler,
    Formatters,
    LogHandlers,
    WarningFilters,
    Recipes,
    Options,
    Figures,
    Signals,
    Services,
    Stores,
    Pytrees,
)


class Registered:
    """The tables of a kernel in which things of the user may be registered.

    Args:
        state: the kernel, before any code of the user ran.
    """

    def __init__(self, state):
        self._patches = Patches(state)
        self._set_ups = SetUps(state)
        self._contents = Contents(state)
        self._tables = [*(kind(state) for kind in _KINDS), self._patches, self._contents]
        #: key -> tombstone of what could not be registered here; it is handed on
        self.absent = {}
        #: key -> why the table that it is in could not be read
        self.failed = {}

    def roots(self):
        """Return root -> value."""
        found, self.failed = {}, {}
        for table in (*self._tables, self._set_ups):
            try:
                found.update(table.found())
            except Exception as error:
                self.failed[table.name] = f"{type(error).__name__}: {one_line(str(error))}"
        if self.absent:
            found = {**self.absent, **found}
        return {("s", key): value for key, value in found.items()}

    def sets(self, module, attribute):
        """Return whether a cell set an attribute of a module, by its name."""
        return self._patches.sets(f"{module}.{attribute}")

    def before_cell(self, code):
        """A cell is about to run; never raises."""
        with contextlib.suppress(Exception):
            self._patches.expect(code)
            self._contents.expect(code)

    def put(self, values, problems):
        """Make exactly these registered of what is the user's.

        Args:
            values: key -> value; a tombstone stands for what could not come.
            problems: is given name -> reason of what could not be done.
        """
        self.absent = {key: value for key, value in values.items() if type(value) is LeftBehind}
        for table in self._tables:
            _put(table, values, problems)

    def sets_up(self, key):
        """Return whether a key is of a call that sets a library up."""
        return self._set_ups.has(key)

    def set_up(self, values, problems):
        """Make these calls, of those that ``sets_up`` tells."""
        _put(self._set_ups, values, problems)
        problems.update(self._set_ups.failed)


def _put(table, values, problems):
    own = {key: value for key, value in values.items() if table.has(key)}
    try:
        table.put(own)
    except Exception as error:
        problems[table.name] = f"{type(error).__name__}: {one_line(str(error))}"
