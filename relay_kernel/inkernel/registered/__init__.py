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
from .callbacks import Callbacks, Transformers
from .figures import Figures
from .formatters import Formatters
from .handlers import LogHandlers
from .magics import Magics
from .patches import Patches
from .recipes import Recipes
from .signals import Signals
from .warning_filters import WarningFilters

_KINDS = (
    Magics,
    Callbacks,
    Transformers,
    Formatters,
    LogHandlers,
    WarningFilters,
    Recipes,
    Figures,
    Signals,
)


class Registered:
    """The tables of a kernel in which things of the user may be registered.

    Args:
        state: the kernel, before any code of the user ran.
    """

    def __init__(self, state):
        self._patches = Patches(state)
        self._tables = [*(kind(state) for kind in _KINDS), self._patches]
        #: key -> tombstone of what could not be registered here; it is handed on
        self.absent = {}
        #: key -> why the table that it is in could not be read
        self.failed = {}

    def roots(self):
        """Return root -> value."""
        found, self.failed = {}, {}
        for table in self._tables:
            try:
                found.update(table.found())
            except Exception as error:
                self.failed[table.name] = f"{type(error).__name__}: {one_line(str(error))}"
        if self.absent:
            found = {**self.absent, **found}
        return {("s", key): value for key, value in found.items()}

    def before_cell(self, code):
        """A cell is about to run; never raises."""
        with contextlib.suppress(Exception):
            self._patches.expect(code)

    def put(self, values, problems):
        """Make exactly these registered of what is the user's.

        Args:
            values: key -> value; a tombstone stands for what could not come.
            problems: is given name -> reason of what could not be done.
        """
        self.absent = {key: value for key, value in values.items() if type(value) is LeftBehind}
        for table in self._tables:
            own = {key: value for key, value in values.items() if table.has(key)}
            try:
                table.put(own)
            except Exception as error:
                problems[table.name] = f"{type(error).__name__}: {one_line(str(error))}"
