"""Takes a snapshot of the kernel: a manifest, and the chunks that were not in the store yet."""

from __future__ import annotations

import contextlib
import json
import linecache
import os
import sys

from . import blobs, reasons
from .live import look_again
from .pickling import Pickler
from .records import Record, pack_wire, seal
from .scan import Scan
from .tombstone import LeftBehind, facts

FORMAT = 1
#: Seconds for which a capture waits for a cell on a subshell that is about to end.
PATIENCE = 0.2


@contextlib.contextmanager
def look(state, keep=True):
    """Scan the kernel.

    Args:
        state: the kernel.
        keep: whether what is packed is needed, and not only whether it changed.

    Yields:
        The scan, done.
    """
    state.nans.forget()
    state.at_work = state.threads.count()
    with contextlib.closing(Scan(state, Pickler(state, keep))) as scan:
        with state.budget.watch():
            scan.run()
        yield scan


def capture(state):
    """Take a snapshot.

    Args:
        state: the kernel.

    Returns:
        The manifest, a dict for JSON.

    Raises:
        OSError: the store cannot be written to.
        KeyboardInterrupt: the user interrupted code that runs while a value is packed.
    """
    with state.turns.alone(PATIENCE) as alone, look(state) as scan:
        if not alone or state.at_work:
            with state.budget.watch():
                look_again(scan)
        state.live = sorted({state.called(root) for root in scan.live})
        records = [piece.record or _keep(state, scan, piece) for piece in scan.pieces]
        state.settle(scan.same + records, scan)
    return manifest(state)


def manifest(state):
    """Return the manifest of the records as they are."""
    context = state.context.capture()
    context["history"] = state.history.capture()
    if state.parts is None:
        state.parts = _parts(state)
    chunks = dict(state.parts["chunks"])
    for blob in blobs.within(context):
        chunks.update(blobs.sizes(blob))
    unsaid = {
        name: {"type": "setting", "reason": reason}
        for name, reason in {**state.context.failed, **state.registered.failed}.items()
    }
    return {
        "format": FORMAT,
        "digest": blobs.DIGEST,
        "python": python(),
        "kernel_id": state.kernel_id,
        "place": state.place,
        **state.parts,
        "left_behind": {**state.parts["left_behind"], **unsaid},
        "chunks": chunks,
        "context": context,
        "execution_count": state.shell.execution_count,
        "live": state.live,
        "threads": state.threads.count(),
    }


def packed(state, manifest):
    """Return the bytes of ``manifest``, the newest one of this kernel, as JSON."""
    if state.said is None:
        state.said = ",".join([record.json() for record in state.records])
    rest = {key: value for key, value in manifest.items() if key != "components"}
    said = json.dumps(rest, separators=(",", ":"))
    return f'{said[:-1]},"components":[{state.said}]}}'.encode()


def _parts(state):
    """Return what a manifest says of the components."""
    sources = _sources(state)
    chunks = {}
    for record in state.records:
        if record.chunks:
            chunks.update(record.chunks)
    for blob, _ in sources.values():
        chunks.update(blobs.sizes(blob))
    return {
        "chunks": chunks,
        "names": [key for record in state.records for kind, key in record.roots if kind == "n"],
        "components": [record.wire for record in state.records],
        "sources": sources,
        "left_behind": _left_behind(state),
    }


def python():
    """Return the Python minor version: code cannot move between two of them."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _keep(state, scan, piece):
    """Return a record of a piece that is new or changed, with its content in the store."""
    if piece.error is not None:
        return _leave(state, scan, piece)
    known = {}
    for root in piece.roots:
        if root in state.record_of:
            known.update(state.record_of[root].known())
    wire = {"roots": [list(root) for root in piece.roots]}
    wire.update(pack_wire(piece.dump, state.store, known))
    files = sorted(name for name in piece.dump.files if _is_cell(name))
    if files:
        wire["files"] = files
    skeletons = {key: _skeleton(state, key) for kind, key in piece.roots if kind == "c"}
    if skeletons:
        wire["skeletons"] = skeletons
    record = Record(seal(wire), piece.dump.marks, piece.classes, files)
    if len(piece.roots) == 1:
        value = scan.value(piece.roots[0])
        record.watch(value)
        if type(value) is LeftBehind:
            record.left = facts_of(value)
    return record


def _leave(state, scan, piece):
    """Return a record of a tombstone for a value that cannot be packed."""
    root = piece.roots[0]
    value = state.classes.get(root[1]) if root[0] == "c" else scan.values[root]
    stone = state.leave(state.called(root), value, reasons.why(value, piece.error))
    dump = scan.pickler.pack((stone,))
    wire = {"roots": [list(root)], **pack_wire(dump, state.store, {})}
    record = Record(seal(wire), None)
    record.left, record.live = facts_of(stone), value
    return record


def facts_of(stone):
    """Return what a manifest says of a tombstone."""
    return {"type": facts(stone)[1], "reason": facts(stone)[2]}


def _skeleton(state, tid):
    known = state.skeletons[tid]
    if "wire" not in known:
        # If the disk is full, the next capture needs the dump again.
        wire = pack_wire(known["dump"], state.store, {})
        wire["classes"] = sorted(known["classes"])
        known["wire"] = wire
        del known["dump"]
    return known["wire"]


def _is_cell(name):
    """Return whether a file name stands for a cell: there is source, and no such file."""
    return name in linecache.cache and len(linecache.cache[name]) > 1 and not os.path.exists(name)


def _sources(state):
    """Return file name of a cell -> [blob of its source, number of the cell or None]."""
    numbers = getattr(state.shell.compile, "_filename_map", {})
    needed = {name for record in state.records for name in record.files}
    for name in needed - state.sources.keys():
        if not _is_cell(name):
            continue
        data = memoryview("".join(linecache.cache[name][2]).encode("utf-8", "surrogatepass"))
        blob = state.store.keep(data, blobs.marks(data), {})
        state.sources[name] = [blob, numbers.get(name)]
    return {name: state.sources[name] for name in sorted(needed & state.sources.keys())}


def _left_behind(state):
    left = {}
    for record in state.records:
        for kind, key in record.roots:
            if kind == "c":
                left.update(_left_of_class(state, key))
            if record.left is not None and kind != "u":
                left[state.called((kind, key))] = record.left
    return left


def _left_of_class(state, tid):
    cls = state.classes.get(tid)
    stones = state.stones.get(tid, {})
    left = {}
    for name, value in list(vars(cls).items()) if cls is not None else ():
        kept, stone = stones.get(name, (None, None))
        if stone is not None and kept is value:
            left[f"{cls.__name__}.{name}"] = facts_of(stone)
        elif type(value) is LeftBehind:
            left[f"{cls.__name__}.{name}"] = facts_of(value)
    return left
