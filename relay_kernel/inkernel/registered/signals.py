"""Functions of the user that a signal calls."""

from __future__ import annotations

import _signal
import signal

from .table import Table, here

#: The kernel's own, and a capture's.
_OURS = frozenset((signal.SIGINT,))


class Signals(Table):
    """What ``signal.signal`` was given, by the name of the signal."""

    name = "handler of "

    def __init__(self, state):
        super().__init__(state)
        self._numbers = [each for each in signal.valid_signals() if each not in _OURS]
        self._before = self._now()

    def _now(self):
        # The names that ``signal.getsignal`` finds for them cost as much as all the rest.
        return {number: _signal.getsignal(number) for number in self._numbers}

    def found(self):
        """Return ``handler of SIGUSR1`` -> function."""
        return {
            self.name + _called(number): handler
            for number, handler in self._now().items()
            if callable(handler) and handler is not self._before[number] and self.is_users(handler)
        }

    def put(self, values):
        """Have exactly these called."""
        wanted, gone = here(values), self.found().keys() - values.keys()
        for number in self._numbers:
            key = self.name + _called(number)
            if key in wanted:
                signal.signal(number, wanted[key])
            elif key in gone:
                signal.signal(number, self._before[number] or signal.SIG_DFL)


def _called(number):
    return number.name if isinstance(number, signal.Signals) else str(number)
