"""Finds out in one go that many small components are all unchanged, which they mostly are."""

from __future__ import annotations

from .records import NOTHING

#: Components a bundle: one that changed sends its whole bundle to be looked at one by one.
_SIZE = 64
#: Bytes of a pickle; beyond that the cost is in the value, not in the number of values.
_SMALL = 4096


class Bundle:
    """Components that were packed jointly when they were known to be as their records say.

    The same bytes now mean the same values, and the same objects shared among them.
    """

    __slots__ = ("ids", "marks", "memo", "records", "roots", "spans")

    def __init__(self, records, marks):
        self.records = records
        self.ids = frozenset(map(id, records))
        self.roots = _roots(records)
        #: of their joint dump
        self.marks = marks
        #: of the dump that showed it unchanged, while a scan is at work
        self.memo = None
        #: likewise, where its arrays lie
        self.spans = ()


def fits(record):
    """Return whether a record is worth bundling: small, and not known by a cheaper way."""
    known = record.atom is not NOTHING or record.proof is not None or record.live is not NOTHING
    return (
        not known
        and record.marks is not None
        and len(record.marks) == 1
        and record.marks[0][0] <= _SMALL
        and all(kind not in "cm" for kind, _ in record.roots)
    )


def rebundle(bundles, records, pack):
    """Return bundles for ``records``, keeping those that are whole and large enough.

    Args:
        bundles: the ones before.
        records: of the state as it is now.
        pack: packs roots jointly.
    """
    now = {id(record): record for record in records}
    whole = [
        bundle
        for bundle in bundles
        if len(bundle.records) > _SIZE // 4 and bundle.ids <= now.keys()
    ]
    held = set().union(*[bundle.ids for bundle in whole])
    loose = [record for ident, record in now.items() if ident not in held and fits(record)]
    for at in range(0, len(loose), _SIZE):
        part = loose[at : at + _SIZE]
        marks = _marks(part, pack)
        if marks is not None:
            whole.append(Bundle(part, marks))
    return whole


def is_unchanged(bundle, values, pack):
    """Return whether every component of a bundle is as its record says."""
    if not all(map(values.__contains__, bundle.roots)):
        return False
    try:
        dump = pack(bundle.roots)
    except Exception:
        return False
    if dump.buffers or dump.marks != bundle.marks:
        return False
    bundle.memo, bundle.spans = dump.memo, dump.spans
    return True


def _roots(records):
    return [root for record in records for root in record.roots]


def _marks(records, pack):
    if len(records) < 2:
        return None
    try:
        dump = pack(_roots(records))
    except Exception:
        return None
    return None if dump.buffers else dump.marks
