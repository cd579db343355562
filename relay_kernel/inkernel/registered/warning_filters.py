"""Which warnings are shown, and by what."""

from __future__ import annotations

import warnings

from .table import Table, here

_FILTERS = "warnings.filters"
_SHOW = "warnings.showwarning"


class WarningFilters(Table):
    """``warnings.filters`` as a whole, since order counts, and a ``showwarning`` of the user."""

    name = "warnings."

    def __init__(self, state):
        super().__init__(state)
        self._before = list(warnings.filters)
        self._show = warnings.showwarning

    def found(self):
        """Return the filters if they were changed."""
        found = {}
        if warnings.filters != self._before:
            found[_FILTERS] = tuple(warnings.filters)
        if warnings.showwarning is not self._show and self.is_users(warnings.showwarning):
            found[_SHOW] = warnings.showwarning
        return found

    def put(self, values):
        """Set the filters; without any, to what they were at the start."""
        wanted = here(values)
        if _FILTERS in wanted or _FILTERS not in values:
            filters = list(wanted.get(_FILTERS, self._before))
            if filters != warnings.filters:
                # Python notes that there is a change only if its own functions make it.
                warnings.resetwarnings()
                warnings.filters[:] = filters
        if _SHOW in wanted:
            warnings.showwarning = wanted[_SHOW]
        elif _SHOW in self.found():
            warnings.showwarning = self._show
