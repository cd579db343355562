"""Groups what must travel together: pieces that share an object or overlap in memory (pure)."""

from __future__ import annotations

#: Memos, the largest ones, that are compared in pairs instead of being copied into one.
_LARGE = 8


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
        memos: one dict a piece: id -> (place, object), which also keeps the objects alive, so
            that no id is used twice.
        seeds: ids that every memo holds.
        is_shared: says of an object whether it matters that there is only one.
    """
    order = sorted(range(len(memos)), key=lambda number: len(memos[number]))
    large = [number for number in order[-_LARGE:] if len(memos[number]) > 1000]
    owner = {}
    for number in order[: len(order) - len(large)]:
        memo = memos[number]
        for ident in (owner.keys() & memo.keys()) - seeds:
            if is_shared(memo[ident][1]):
                groups.join(owner[ident], number)
        owner.update(dict.fromkeys(memo, number))
    for at, number in enumerate(large):
        memo = memos[number]
        for ident in (owner.keys() & memo.keys()) - seeds:
            if is_shared(memo[ident][1]):
                groups.join(owner[ident], number)
        for other in large[:at]:
            if any(is_shared(memo[i][1]) for i in (memos[other].keys() & memo.keys()) - seeds):
                groups.join(other, number)


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
