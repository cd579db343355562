"""What all sections of the context have in common."""

from __future__ import annotations

import io
import json
import pickle

from ..blobs import marks


class NotHere(Exception):
    """This machine has no place for what a section brought; it is kept for the way back."""


class Section:
    """One thing of a session that is in no variable.

    A section looks at the kernel when it is made, before any code of the user ran. What is as it
    was then is not sent, so that a receiver keeps what it has of its own.

    Args:
        state: the kernel.
    """

    #: The key under which it travels, and what a person is told when it fails.
    name = ""

    def __init__(self, state):
        self.state = state
        self._packed = None

    def take(self):
        """Return what travels, a value for JSON; something empty if all is as at the start."""
        raise NotImplementedError

    def put(self, wire):
        """Make it so here; None stands for how it was at the start.

        Raises:
            NotHere: it does not apply to this machine.
            Exception: it could not be done; the text says why.
        """
        raise NotImplementedError

    def settle(self):
        """All that came is in place now. Never raises."""

    def distrust(self):
        """Believe no more that what was sent last is in the store."""
        self._packed = None

    def pack(self, value):
        """Return a blob of ``value``, the one of last time if it is equal."""
        packed = io.BytesIO()
        pickler = pickle.Pickler(packed, protocol=5)
        # Two equal strings are packed alike, be they one object or two.
        pickler.fast = True
        pickler.dump(value)
        data = packed.getbuffer()
        digests = marks(data)
        if self._packed is None or self._packed[0] != digests:
            self._packed = (digests, self.state.store.keep(data, digests, {}))
        return self._packed[1]

    def unpack(self, blob):
        """Return the value of a blob.

        Raises:
            ChunkError: a chunk is missing or damaged.
        """
        return pickle.loads(self.state.store.read(blob))


def changed(before, now):
    """Return what of ``now`` is not as in ``before``; both are dicts with the same keys."""
    return {key: value for key, value in now.items() if value != before[key]}


def plain(options):
    """Return the options that JSON can carry and give back as they were."""
    return {name: value for name, value in options.items() if _is_plain(value)}


def _is_plain(value):
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False
