"""What could not be unpacked when it came, and can be by now.

A snapshot comes sooner than the files that it speaks of, and a user may install what is missing.
So a component that failed is tried again when a cell mentions it.
"""

from __future__ import annotations

import os

from .loader import Loader
from .reasons import MAY_COME
from .tombstone import LeftBehind, facts

#: Kinds of roots that can be put in place one by one.
_SINGLE = "nous"


def waiting(state):
    """Return the records of what a snapshot had and this kernel could not unpack yet."""
    return [record for record in state.records if record.failed and _may_come(state, record)]


def _may_come(state, record):
    """Return whether tombstones stand for all of a record, for want of a file or a module."""
    if any(kind not in _SINGLE for kind, _ in record.roots):
        return False
    values = [value for value in map(_standing_in(state), record.roots) if value is not None]
    return bool(values) and all(
        type(value) is LeftBehind and facts(value)[2].startswith(MAY_COME) for value in values
    )


def _standing_in(state):
    registered = state.registered.absent

    def find(root):
        kind, key = root
        if kind == "s":
            return registered.get(key)
        return state.user_ns.get(key) if kind == "n" else None

    return find


def is_named(record, names):
    """Return whether a cell that mentions ``names`` may need a record."""
    return any(kind == "s" or (kind == "n" and key in names) for kind, key in record.roots)


def exchanged(state):
    """Return the records that came with a file open, in the place of which there is a newer one.

    A state may come before the newest of its files. Once a cell has run here, its files are what
    it made of them.
    """
    opened, state.opened = state.opened, {}
    stale = {wire_id for wire_id, files in opened.items() if any(map(_is_another, files.items()))}
    return [record for record in state.records if record.wire["id"] in stale]


def _is_another(file):
    path, known = file
    try:
        there = os.stat(path)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) != known


def retry(state, records):
    """Unpack ``records`` again; what fails again stays as it is."""
    if not records:
        return
    wanted = {id(record) for record in records}
    manifest = {
        "components": [record.wire for record in state.records],
        "kernel_id": state.kernel_id,
        "place": state.place,
    }
    held = {record.wire["id"] for record in state.records if id(record) not in wanted}
    loader = Loader(state, manifest, held)
    loader.load_all()
    came = set(loader.values) - set(loader.failed) - set(loader.parked)
    for number in came:
        if id(state.records[number]) in wanted:
            _put(state, state.records[number], loader.values[number])
    state.forget_reads()


def _put(state, record, values):
    record.failed = False
    found = {root: values[at] for at, root in enumerate(record.roots)}
    state.names.exchange(found)
    registered = {key: value for (kind, key), value in found.items() if kind == "s"}
    if registered:
        now = {key: value for (_, key), value in state.registered.roots().items()}
        state.registered.put({**now, **registered}, {})
