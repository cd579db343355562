"""What a dump met: the memo of a pickler, kept so that others can be compared with it.

A memo as a dict costs more than the pickling itself, once it has a million entries. So a large
one is copied from pickler to pickler, which C does, and asked about single objects.
"""

from __future__ import annotations

import io
import pickle

#: Entries from which on a memo stays closed.
_LARGE = 20_000
#: Places in a pickle at which its entries are counted, and bytes at each.
_SAMPLES, _SAMPLE = 64, 2048
#: The opcode that adds an entry to a memo.
MEMOIZE = b"\x94"


def memo_of(pickler, data):
    """Return what ``pickler`` met in the dump ``data``: a dict, or a LargeMemo.

    Both keep every object alive that was met.

    Args:
        pickler: it has just packed something.
        data: the dump, as bytes or as a ``sinks.Digest``.
    """
    about = data.about if hasattr(data, "about") else _estimate(data)
    return pickler.memo.copy() if about < _LARGE else LargeMemo(pickler.memo, about)


def _estimate(data):
    """Return about how many entries a dump added: only what is fastest depends on it."""
    if len(data) <= _LARGE:
        return 0
    step = max(1, len(data) // _SAMPLES)
    found = sum(data.count(MEMOIZE, at, at + _SAMPLE) for at in range(0, len(data), step))
    return found * step // min(step, _SAMPLE)


class _NotMet(Exception):
    """A probe came to what lies inside of the object that it was asked about."""


class _Probe(pickle.Pickler):
    """Writes an object only if that is a mere reference to one that the memo has."""

    def __init__(self, memo):
        self._file = io.BytesIO()
        # Protocol 3 has no frames, so that the third byte is the first opcode.
        super().__init__(self._file, protocol=3)
        self.memo = memo
        self._is_first = False

    def persistent_id(self, thing):
        if self._is_first:
            self._is_first = False
            return
        raise _NotMet

    def reducer_override(self, thing):
        raise _NotMet

    def holds(self, thing):
        """Return whether the memo has ``thing``; it may have it afterwards in any case."""
        self._is_first = True
        self._file.seek(0)
        self._file.truncate()
        try:
            self.dump(thing)
        except (_NotMet, pickle.PicklingError):
            # The latter: a PickleBuffer, which this protocol can only refer to.
            return False
        return self._file.getvalue()[2:3] in (b"h", b"j")


class LargeMemo:
    """The memo of a large dump.

    Args:
        memo: ``Pickler.memo``, which is copied.
        about: about how many entries it has.
    """

    def __init__(self, memo, about):
        self._probe = _Probe(memo)
        self._answers = {}
        self._opened = None
        self.about = about

    def opened(self):
        """Return the memo as a dict, id -> (place, object)."""
        if self._opened is None:
            memo = self._probe.memo.copy()
            for ident, (held, _) in self._answers.items():
                if not held:
                    memo.pop(ident, None)
            self._opened = memo
        return self._opened

    def holds(self, ident, thing):
        """Return whether ``thing``, whose id is ``ident``, was met."""
        if self._opened is not None:
            return ident in self._opened
        answer = self._answers.get(ident)
        if answer is None:
            answer = self._answers[ident] = self._probe.holds(thing), thing
        return answer[0]

    def close(self):
        """Let go of the objects now, whoever still refers to this."""
        self._probe.clear_memo()
        self._answers, self._opened = {}, None
