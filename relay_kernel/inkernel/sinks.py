"""What a pickler writes to: one keeps the bytes, the other only what tells them from others."""

from __future__ import annotations

from . import blobs, nans
from .memos import MEMOIZE

#: Bytes of each part that are looked at for how many objects it is about.
_SAMPLE = 2048


class Kept:
    """The pickle as bytes. The pickler may hand over one large value as a part of its own."""

    def __init__(self):
        self.parts = []
        self.write = self.parts.append
        #: whether there may be a NaN in what was taken last
        self.nan = False

    def take(self):
        """Return what was written since the last time."""
        data = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts.clear()
        self.nan = nans.may_hold(data)
        return data


class Digest:
    """What is known of a pickle that was not kept.

    Args:
        marks: as ``blobs.marks`` has them for its bytes.
        about: about how many entries it added to the memo.
    """

    __slots__ = ("about", "marks")

    def __init__(self, marks, about):
        self.marks = marks
        self.about = about


class Digested:
    """The marks of the pickle, a chunk of which is in memory at a time."""

    def __init__(self):
        #: whether there may be a NaN in what was taken last
        self.nan = False
        self._start()

    def _start(self):
        self._nan = False
        self._rest = bytearray()
        self._digests = []
        self._size = self._about = 0

    def write(self, part):
        """Take the next part."""
        view = memoryview(part)
        sample = bytes(view[:_SAMPLE])
        if sample:
            self._about += sample.count(MEMOIZE) * len(view) // len(sample)
        self._size += len(view)
        # Whatever is short is handed over whole.
        self._nan = self._nan or nans.may_hold(part)
        while len(self._rest) + len(view) >= blobs.CHUNK:
            missing = blobs.CHUNK - len(self._rest)
            self._rest += view[:missing]
            self._digests.append(blobs.mark(self._rest))
            self._rest = bytearray()
            view = view[missing:]
        self._rest += view

    def take(self):
        """Return a ``Digest`` of what was written since the last time."""
        if self._size <= blobs.INLINE:
            marks = (self._size, bytes(self._rest))
        else:
            last = [blobs.mark(self._rest)] if self._rest else []
            marks = (self._size, *self._digests, *last)
        found = Digest(marks, self._about)
        self.nan = self._nan
        self._start()
        return found
