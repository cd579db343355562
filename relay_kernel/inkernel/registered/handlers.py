"""Handlers of loggers: where messages go. They are packed as values, without their locks."""

from __future__ import annotations

import logging

from ..homes import local, travelling
from .table import Table, here

#: Attribute of a handler that writes to a file.
_PATH = "baseFilename"
_STANDARD = ("logging", "logging.handlers")


class LogHandlers(Table):
    """The handlers that were added to each logger, if their class is standard or the user's."""

    name = "log handlers of "

    def __init__(self, state):
        super().__init__(state)
        #: module of a class -> whether handlers of such a class count
        self._homes = {}
        self._before = {name: tuple(logger.handlers) for name, logger in _loggers()}

    def found(self):
        """Return ``log handlers of NAME`` -> handlers."""
        found = {}
        for name, logger in _loggers():
            before = self._before.get(name, ())
            own = tuple(each for each in logger.handlers if self._counts(each, before))
            if own:
                found[self.name + (name or "the root")] = own
        return found

    def _counts(self, handler, before):
        home = type(handler).__module__
        counts = self._homes.get(home)
        if counts is None:
            counts = self._homes[home] = home in _STANDARD or self.is_users(handler)
        return counts and type(handler) is not logging.NullHandler and handler not in before

    def put(self, values):
        """Make these the added handlers of each logger."""
        wanted = here(values)
        for key in (self.found().keys() - values.keys()) | wanted.keys():
            name = key[len(self.name) :]
            name = "" if name == "the root" else name
            logger, before = logging.getLogger(name or None), self._before.get(name, ())
            others = [each for each in logger.handlers if not self._counts(each, before)]
            logger.handlers[:] = [*others, *wanted.get(key, ())]


def _loggers():
    """Yield name, logger for each with handlers; the root is ""."""
    yield "", logging.root
    for name, logger in list(logging.root.manager.loggerDict.items()):
        handlers = vars(logger).get("handlers")  # a place that is only reserved has none
        # Most libraries have one that drops everything, and it is nobody's.
        if handlers and (len(handlers) > 1 or type(handlers[0]) is not logging.NullHandler):
            yield name, logger


def reduce_handler(pickler, handler):
    """Reduce a handler to its attributes without the lock."""
    state = {name: value for name, value in vars(handler).items() if name != "lock"}
    if isinstance(state.get(_PATH), str):
        state[_PATH] = travelling(state[_PATH])
    return make_handler, (type(handler),), state, None, None, set_handler


def make_handler(cls):
    """Return a handler without attributes."""
    return cls.__new__(cls)


def set_handler(handler, state):
    """Give a handler its attributes, and what its ``__init__`` makes beside them."""
    if isinstance(state.get(_PATH), str):
        state[_PATH] = local(state[_PATH])
    handler.__dict__.update(state)
    handler.createLock()
    logging._addHandlerRef(handler)
