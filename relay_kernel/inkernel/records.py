"""What was captured or applied last: one record for each component."""

from __future__ import annotations

import hashlib
import json
import types

from . import blobs
from .identity import proof_of
from .names import ATOMS

#: Stands for "no value" where None is one.
NOTHING = object()
#: A module's content is not its value here; it travels by name.
_ATOMS = ATOMS | {types.ModuleType}


class Record:
    """A component as the other side knows it, and how to tell that it has not changed since.

    Args:
        wire: the component in the manifest. Two with the same ``id`` have the same content.
        marks: digests of its dump in this kernel; never comparable with another kernel's.
        seen: if another kernel made the wire: key -> mark of chunks as they were read here. What
            was unpacked may pack to other bytes here, so ``marks`` say nothing of those chunks.
        classes: tracker ids of the classes it needs.
        files: names of the cells that its code came from.
    """

    __slots__ = (
        *("atom", "chunks", "classes", "failed", "files", "left", "live", "marks"),
        *("packed", "parked", "proof", "roots", "seen", "wire"),
    )

    def __init__(self, wire, marks, classes=(), files=(), seen=None):
        self.wire = wire
        #: the same as JSON, once it was asked for
        self.packed = None
        self.marks = marks
        self.classes = set(classes)
        self.files = set(files)
        self.roots = tuple((kind, key) for kind, key in wire["roots"])
        #: the value, if it is one that never changes
        self.atom = NOTHING
        self.proof = None
        #: {"type", "reason"} if a tombstone travels
        self.left = None
        #: the real value behind that tombstone, if it is here
        self.live = NOTHING
        #: whether this kernel could not unpack it
        self.failed = False
        #: whether it stays on the disk, since it does not fit into memory
        self.parked = False
        self.chunks = dict(
            pair
            for packed in (wire, *wire.get("skeletons", {}).values())
            for blob in (packed["data"], *packed.get("buffers", ()))
            for pair in blobs.sizes(blob)
        )
        #: key -> mark; None: what was packed here is what the chunks hold
        self.seen = None if seen is None else {k: seen[k] for k in self.chunks if k in seen}

    def distrust(self):
        """Take nothing for granted any more: the next scan packs the value again."""
        self.marks = self.proof = self.seen = None
        self.atom = self.live = NOTHING

    def watch(self, value):
        """Find out how to tell cheaply that ``value``, the only one, has not changed."""
        if type(value) in _ATOMS:
            self.atom = value
        else:
            self.proof = proof_of(value)

    def json(self):
        """Return ``wire`` as JSON. It never changes, so this is done once."""
        if self.packed is None:
            self.packed = json.dumps(self.wire, separators=(",", ":"))
        return self.packed

    def known(self):
        """Yield (mark, key) of the chunks that are in the store."""
        if self.seen is not None:
            yield from ((mark, key) for key, mark in self.seen.items())
            return
        buffers = (self.wire["data"], *self.wire.get("buffers", ()))
        for number, blob in enumerate(buffers):
            if self.marks is not None and number < len(self.marks):
                keys = blob.get("chunks", ())
                digests = self.marks[number][1:]
                if len(keys) == len(digests):
                    yield from ((digests[at], key) for at, key in enumerate(keys))


def seal(wire):
    """Give a wire component its id: a hash of all that it says."""
    said = json.dumps(wire, sort_keys=True).encode()
    wire["id"] = hashlib.blake2b(said, digest_size=12).hexdigest()
    return wire


def pack_wire(dump, store, known):
    """Write what a dump holds and return how it is found: ``data``, ``buffers``, ``stream``.

    Args:
        dump: its buffers are live memory.
        store: the chunk store.
        known: mark -> key of chunks that need no writing.
    """
    wire = {"data": store.keep(memoryview(dump.data), dump.marks[0], known)}
    if dump.buffers:
        wire["buffers"] = [
            store.keep(view, dump.marks[at], known) for at, view in enumerate(dump.buffers, 1)
        ]
    if dump.stream:
        wire["stream"] = dump.stream
    return wire
