"""The root of the error tree: what every part of relay-kernel raises for a person to read."""

from __future__ import annotations


class RelayError(Exception):
    """Root of the tree. Its text is one line: what happened, where, what to do.

    Catch it at process edges only; everything in between lets it pass.
    """

    #: True when the same call may work later, with nothing changed here.
    retryable = False
