"""Components that stay on the disk because they do not fit into memory here.

Their chunks are whole, so a capture ships them on unread. A placeholder stands for each of their
names; a cell that mentions one has them loaded before it runs.
"""

from __future__ import annotations

import contextlib

from . import apply as applying
from . import memory
from .loader import Loader
from .pickling import Pickler
from .scan import Scan
from .tombstone import Parked, explain

_MIB = 1 << 20


def said(state):
    """Return name -> why it is on the disk, of all that is."""
    return {
        state.called(root): explain(value)
        for record in state.records
        if record.parked
        for root, value in _placeholders(state, record)
    }


def waiting(state):
    """Return name -> record, by each name that a cell could use for what is on the disk."""
    found = {}
    for record in state.records:
        if record.parked:
            for name in _names(record):
                found[name] = record
    return found


def load(state, records):
    """Load ``records`` from the disk. What does not fit keeps its placeholder, which says so."""
    loaded = [record for record in records if _fits(state, record)]
    if not loaded:
        return
    wires = [record.wire for record in state.records]
    held = {wire["id"] for wire in wires} - {record.wire["id"] for record in loaded}
    about = {"components": wires, "kernel_id": state.kernel_id, "place": state.place}
    loader = Loader(state, about, held, roomy=True)
    loader.load_all()
    for number, record in enumerate(state.records):
        if record in loaded and number in loader.parked:
            _explain_failure(state, record)
        elif record in loaded and number not in loader.failed:
            _put(state, record, loader.values[number])
    done = [r for n, r in enumerate(state.records) if n in loader.values and n not in loader.parked]
    with contextlib.closing(Scan(state, Pickler(state))) as scan:
        fresh = {
            id(record): applying.record_of(scan, record.wire) for record in done if record in loaded
        }
        state.settle([fresh.get(id(record), record) for record in state.records], scan)
    state.forget_reads()


def _fits(state, record):
    free = memory.available(spare=False)
    if free is None or memory.need(record.wire) <= free:
        return True
    _explain_failure(state, record)
    return False


def _explain_failure(state, record):
    free = memory.available(spare=False) or 0
    for _, value in _placeholders(state, record):
        explain(
            value,
            f"it needs {memory.need(record.wire) // _MIB} MiB and {free // _MIB} MiB are free, "
            "so it could not be loaded; delete something, and run the cell again",
        )


def _placeholders(state, record):
    values = state.names.roots()
    return [(root, values[root]) for root in record.roots if type(values.get(root)) is Parked]


def _names(record):
    for kind, key in record.roots:
        if kind == "o":
            yield from ("Out", "_oh", f"_{key}")
        else:
            yield key


def _put(state, record, values):
    """Put values in the places of their placeholders; what the user changed since stays."""
    places = dict(_placeholders(state, record))
    found = {root: values[at] for at, root in enumerate(record.roots) if root in places}
    state.names.exchange(found)
