"""Makes the state of this kernel that of a snapshot: all in one step, or not at all.

Everything is unpacked aside first. Only what unpacking itself needs (classes, folder, search
path) is put in place before, and is put back if the whole does not come to an end.
"""

from __future__ import annotations

import contextlib
import linecache

from . import capture, superseded, tensorflow_parts
from .interrupts import uninterrupted
from .loader import Loader
from .pickling import Pickler
from .reasons import why_not_loaded
from .records import Record
from .scan import Scan
from .tombstone import LeftBehind


class Refused(Exception):
    """The snapshot is not one that this kernel can take; the text says why."""


class Damaged(Exception):
    """Chunks are missing or damaged; once they are mended the same snapshot can be applied.

    Args:
        keys: their names.
    """

    def __init__(self, keys):
        super().__init__(f"{len(keys)} chunks are missing or damaged")
        self.keys = keys


def apply(state, manifest, final=True):
    """Make the state of the kernel that of ``manifest``.

    Components that this kernel holds unchanged keep their live objects.

    Args:
        state: the kernel.
        manifest: what a capture made.
        final: whether to do without what is in chunks that are missing or damaged.

    Returns:
        Name -> reason, for what could not be taken over; a tombstone stands for each.

    Raises:
        Refused: another format or another Python.
        Damaged: not if ``final``.
        KeyboardInterrupt: the user interrupted; nothing is changed.
    """
    _check(manifest)
    with superseded.in_silence(state):
        return _apply(state, manifest, final)


def _apply(state, manifest, final):
    problems = {}
    state.store.failed = False
    with state.turns.alone(capture.PATIENCE), capture.look(state, keep=False) as scan:
        whole = (each for each in scan.unchanged() if not (each.failed or each.parked))
        held = {record.wire["id"]: record for record in whole}
        loader = Loader(state, manifest, held)
        history = _stage(state, manifest, loader, problems, final)
        with uninterrupted():
            registered = _commit(state, manifest, loader, scan, history)
            state.context.put_late(manifest["context"], problems)
            # Extensions and imports, which may register the same names, have come before.
            state.registered.put(registered, problems)
            tensorflow_parts.forget_graphs(state)
    with contextlib.closing(Scan(state, Pickler(state, keep=False))) as scan, uninterrupted():
        state.settle(_records(scan, loader, held), scan)
    state.forget_reads()
    problems.update(loader.problems)
    # What is read only now is context and sources; putting it twice does no harm.
    _require_whole(state, manifest, final)
    return problems


def _require_whole(state, manifest, final):
    if state.store.failed and not final:
        bad = state.store.bad(manifest["chunks"])
        if bad:
            raise Damaged(bad)


def _stage(state, manifest, loader, problems, final):
    """Unpack everything aside; return what ``History.stage`` read, or None."""
    undo = []
    context = manifest["context"]
    try:
        state.context.put_early(context, undo, problems)
        if state.context.reran:
            loader.kept.clear()
        _set_up(state, loader, problems)
        loader.load_all()
        history = _stage_history(state, context, problems)
        _require_whole(state, manifest, final)
        return history
    except BaseException:
        with uninterrupted():
            loader.take_back()
            for put_back in reversed(undo):
                put_back()
            state.forget_reads()
        raise


def _set_up(state, loader, problems):
    """Set libraries up as they are elsewhere: what they unpack may depend on it."""
    values = {}
    for number, wire in enumerate(loader.components):
        for at, (kind, key) in enumerate(wire["roots"]):
            if kind == "s" and state.registered.sets_up(key):
                values[key] = loader.value(number, at)
    state.registered.set_up(values, problems)


def _check(manifest):
    if manifest.get("format") != capture.FORMAT:
        raise Refused(
            f"the snapshot has format {manifest.get('format')} and this kernel reads "
            f"{capture.FORMAT}: install the same version of relay-kernel on both machines"
        )
    if manifest["python"] != capture.python():
        raise Refused(
            f"the snapshot is of Python {manifest['python']} and this kernel runs "
            f"{capture.python()}: code cannot move between them, so both need the same one"
        )


def _stage_history(state, context, problems):
    try:
        return state.history.stage(context["history"])
    except Exception as error:
        problems["In"] = why_not_loaded(error)
        return None


def _commit(state, manifest, loader, scan, history):
    """Put everything in place but context; return what remains to be registered."""
    values = {}
    for number, wire in enumerate(loader.components):
        roots = [(kind, key) for kind, key in wire["roots"]]
        if number in loader.kept:
            found = [scan.values.get(root) for root in roots]
        else:
            found = loader.values[number]
        for at, root in enumerate(roots):
            if root[0] not in "cm":
                values[root] = found[at]
    state.names.put(values)
    for name, attributes in loader.modules.items():
        state.modules.put(name, attributes)
    for thing, content in loader.contents:
        try:
            state.named.put(thing, content)
        except Exception as error:
            called = ".".join(state.named.place(thing) or ("an object of a library",))
            loader.problems[called] = why_not_loaded(error)
    if history is not None:
        state.history.commit(history)
    there = {wire["id"] for wire in loader.components}
    state.opened = {key: files for key, files in state.opened.items() if key in there}
    state.shell.execution_count = manifest["execution_count"]
    _put_sources(state, manifest["sources"])
    return {key: value for (kind, key), value in values.items() if kind == "s"}


def _put_sources(state, sources):
    """Let ``inspect`` and tracebacks find the cells that functions came from."""
    numbers = getattr(state.shell.compile, "_filename_map", None)
    for name, (blob, number) in sources.items():
        if name not in linecache.cache:
            try:
                text = state.store.read(blob).decode("utf-8", "surrogatepass")
            except Exception:
                continue
            entry = (len(text), None, text.splitlines(keepends=True), name)
            linecache.cache[name] = entry
            if hasattr(linecache, "_ipython_cache"):
                linecache._ipython_cache[name] = entry
        if numbers is not None and number is not None:
            numbers.setdefault(name, number)
        state.sources[name] = [blob, number]


def _records(scan, loader, held):
    """Return records of what is here now, with the digests that it has in this kernel."""
    records = []
    for number, wire in enumerate(loader.components):
        if number in loader.kept:
            records.append(held[wire["id"]])
        else:
            record = record_of(scan, wire)
            record.failed = number in loader.failed
            record.parked = number in loader.parked
            records.append(record)
    return records


def record_of(scan, wire):
    """Return a record of a component as it is here now, with the digests of this kernel."""
    state = scan.state
    roots = [(kind, key) for kind, key in wire["roots"]]
    for tid, packed in wire.get("skeletons", {}).items():
        state.skeletons[tid] = {"wire": packed, "classes": set(packed["classes"])}
    try:
        dump = scan.pack(roots)
    except Exception:
        # It changed while it was unpacked, or is gone; the next capture finds out.
        return Record(wire, None, seen={})
    classes = set(dump.classes)
    for packed in wire.get("skeletons", {}).values():
        classes.update(packed["classes"])
    files = wire.get("files", ())
    record = Record(wire, dump.marks, classes, files, seen=state.store.seen)
    if len(roots) == 1:
        value = scan.value(roots[0])
        record.watch(value)
        if type(value) is LeftBehind:
            record.left = capture.facts_of(value)
    return record
