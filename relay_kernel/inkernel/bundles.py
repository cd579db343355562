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

    __slots__ = ("data", "memo", "records")

    def __init__(self, records, data):
        self.records = records
        self.data = data
        #: of the dump that showed it unchanged, while a scan is at work
        self.memo = None


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
    now = {id(record) for record in records}
    whole = [
        bundle
        for bundle in bundles
        if len(bundle.records) > _SIZE // 4 and all(id(each) in now for each in bundle.records)
    ]
    held = {id(record) for bundle in whole for record in bundle.records}
    loose = [record for record in records if id(record) not in held and fits(record)]
    for at in range(0, len(loose), _SIZE):
        part = loose[at : at + _SIZE]
        data = _data(part, pack)
        if data is not None:
            whole.append(Bundle(part, data))
    return whole


def is_unchanged(bundle, values, pack):
    """Return whether every component of a bundle is as its record says."""
    if any(root not in values for record in bundle.records for root in record.roots):
        return False
    try:
        dump = pack(_roots(bundle.records))
    except Exception:
        return False
    if dump.buffers or dump.data != bundle.data:
        return False
    bundle.memo = dump.memo
    return True


def _roots(records):
    return [root for record in records for root in record.roots]


def _data(records, pack):
    if len(records) < 2:
        return None
    try:
        dump = pack(_roots(records))
    except Exception:
        return None
    return None if dump.buffers else dump.data
