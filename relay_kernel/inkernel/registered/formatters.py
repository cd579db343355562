"""How the user wants values of a type to be shown."""

from __future__ import annotations

from .table import Table, here

#: Each formatter has one dict by class, and one by names of classes that need no import.
_BY = ("type_printers", "deferred_printers")


class Formatters(Table):
    """Functions by kind of output and type."""

    name = "formatter "

    def __init__(self, state):
        super().__init__(state)
        self._before = {at: dict(printers) for at, printers in self._printers()}

    def _printers(self):
        """Yield (kind of output, which dict), dict."""
        shown = self.state.shell.display_formatter
        formatters = {
            **shown.formatters,
            "mimebundle": shown.mimebundle_formatter,
            "display": shown.ipython_display_formatter,
        }
        for mime, formatter in formatters.items():
            for which in _BY:
                yield (mime, which), getattr(formatter, which)

    def found(self):
        """Return ``formatter KIND TYPE`` -> (kind of output, which dict, its key, function)."""
        found = {}
        for at, printers in self._printers():
            before = self._before.get(at, {})
            if printers == before:
                continue
            for key, function in list(printers.items()):
                if before.get(key) is not function and self.is_users(function):
                    found[f"{self.name}{at[0]} {_called(key)}"] = (*at, key, function)
        return found

    def put(self, values):
        """Set these, and take away the user's others."""
        printers = dict(self._printers())
        for mime, which, key, _ in self.found().values():
            before = self._before.get((mime, which), {})
            if key in before:
                printers[mime, which][key] = before[key]
            else:
                del printers[mime, which][key]
        for mime, which, key, function in here(values).values():
            if (mime, which) in printers:
                printers[mime, which][key] = function


def _called(key):
    return ".".join(key) if isinstance(key, tuple) else f"{key.__module__}.{key.__qualname__}"
