"""Levels of logging. Handlers are values, and travel as such: see ``registered``."""

from __future__ import annotations

import logging

from .section import Section

_NEW = [logging.NOTSET, False, True]


class LogLevels(Section):
    """Level, ``disabled`` and ``propagate`` of each logger, and ``logging.disable``."""

    name = "logging"

    def __init__(self, state):
        super().__init__(state)
        self._before = _levels()

    def take(self):
        """Return name of a logger ("" is the root) -> what it has, where that was changed."""
        now = _levels()
        if now == self._before:
            return None
        names = now.keys() | self._before.keys()
        changed = {name: now.get(name, _NEW) for name in sorted(names)}
        return {name: own for name, own in changed.items() if own != self._before.get(name, _NEW)}

    def put(self, wire):
        """Set what was changed; all others go back to what they were."""
        now = _levels()
        wanted = {**dict.fromkeys(now, _NEW), **self._before, **(wire or {})}
        for name, own in wanted.items():
            if own == now.get(name, _NEW):
                continue
            if name == _ALL:
                logging.disable(own[0])
                continue
            logger = logging.getLogger(name or None)
            logger.setLevel(own[0])
            logger.disabled, logger.propagate = own[1], own[2]


#: Stands for ``logging.disable``; no logger can be called so.
_ALL = "\n"


def _levels():
    root = logging.root
    found = {"": [root.level, root.disabled, root.propagate]}
    if root.manager.disable:
        found[_ALL] = [root.manager.disable, False, True]
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and (
            logger.level or logger.disabled or not logger.propagate
        ):
            found[name] = [logger.level, logger.disabled, logger.propagate]
    return found
