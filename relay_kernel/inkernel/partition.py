"""Groups what must travel together: pieces that share an object or overlap in memory (pure)."""

from __future__ import annotations

#: An object costs this much more to be looked up in a closed memo than in an open one.
_PROBE = 3


class Groups:
    """Union-find over the numbers 0..n-1."""

    def __init__(self, count):
        self._parent = list(range(count))

    def find(self, item):
        """Return the representative of the group that holds ``item``."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(self, one, other):
        """Make the groups of ``one`` and ``other`` one group."""
        one, other = self.find(one), self.find(other)
        if one != other:
            self._parent[max(one, other)] = min(one, other)

    def joined(self):
        """Return the groups with more than one member, as lists of numbers in order."""
        members = {}
        for item in range(len(self._parent)):
            members.setdefault(self.find(item), []).append(item)
        return [group for group in members.values() if len(group) > 1]


def join_by_objects(groups, memos, seeds, is_shared):
    """Join pieces whose graphs meet in an object that can be told apart from an equal one.

    Args:
        groups: is changed.
        memos: one a piece, each a dict id -> (place, object) or a LargeMemo; both also keep the
            objects alive, so that no id is used twice.
        seeds: ids that every memo holds.
        is_shared: says of an object whether it matters that there is only one.
    """
    owner = _join_open(groups, memos, seeds, is_shared)
    closed = [number for number, memo in enumerate(memos) if not isinstance(memo, dict)]
    closed.sort(key=lambda number: memos[number].about)
    opened = []
    for number in closed:
        memo = memos[number]
        met = len(owner) + sum(len(entries) for _, entries in opened)
        if number == closed[-1] and met * _PROBE < memo.about:
            for other, entries in opened:
                owner.update(dict.fromkeys(entries, other))
            _join_closed(groups, owner, memos, number, seeds, is_shared)
            return
        entries = memo.opened()
        _join_entries(groups, owner, entries, number, seeds, is_shared)
        # Those that are large are compared in pairs instead of being copied into one.
        for other, before in opened:
            shared = (before.keys() & entries.keys()) - seeds
            if any(is_shared(entries[ident][1]) for ident in shared):
                groups.join(other, number)
        opened.append((number, entries))


def _join_open(groups, memos, seeds, is_shared):
    """Join by the memos that are dicts; return id -> number of a piece that has it."""
    owner = {}
    for number in sorted(range(len(memos)), key=lambda at: _length(memos[at])):
        memo = memos[number]
        if isinstance(memo, dict):
            _join_entries(groups, owner, memo, number, seeds, is_shared)
            owner.update(dict.fromkeys(memo, number))
    return owner


def _length(memo):
    return len(memo) if isinstance(memo, dict) else 0


def _join_entries(groups, owner, entries, number, seeds, is_shared):
    for ident in (owner.keys() & entries.keys()) - seeds:
        if is_shared(entries[ident][1]):
            groups.join(owner[ident], number)


def _join_closed(groups, owner, memos, number, seeds, is_shared):
    memo = memos[number]
    for ident, holder in owner.items():
        found = memos[holder]
        thing = (found if isinstance(found, dict) else found.opened())[ident][1]
        if ident not in seeds and is_shared(thing) and memo.holds(ident, thing):
            groups.join(holder, number)


def join_by_memory(groups, spans):
    """Join pieces whose arrays overlap.

    Args:
        groups: is changed.
        spans: (first byte, byte after the last, number of the piece) of each array.
    """
    end, holder = -1, None
    for low, high, number in sorted(spans):
        if low < end and number != holder:
            groups.join(number, holder)
        if high > end:
            end, holder = high, number
