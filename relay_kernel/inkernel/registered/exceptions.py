"""What IPython does about exceptions of some kinds, as the user said with ``set_custom_exc``."""

from __future__ import annotations

from .table import Table, here

_KEY = "set_custom_exc"


class ExceptionHandler(Table):
    """The kinds and the function; IPython has one at most."""

    name = _KEY

    def found(self):
        """Return ``set_custom_exc`` -> (kinds, function), unless a library set it."""
        shell = self.state.shell
        function = _function_of(shell) if shell.custom_exceptions else None
        if function is None or not self.is_users(function):
            return {}
        return {_KEY: (shell.custom_exceptions, function)}

    def put(self, values):
        """Set it, or take it away."""
        wanted = here(values)
        if wanted:
            self.state.shell.set_custom_exc(*wanted[_KEY])
        elif not values and self.found():
            self.state.shell.set_custom_exc((), None)


def _function_of(shell):
    """Return what IPython has wrapped."""
    wrapper = shell.CustomTB.__func__
    names = wrapper.__code__.co_freevars
    if "handler" not in names:
        return None
    return wrapper.__closure__[names.index("handler")].cell_contents
