"""What a large dump met can be asked about without being spread out."""

from __future__ import annotations

import gc
import io
import pickle
import weakref
from typing import Any

import pytest

from relay_kernel.inkernel.memos import LargeMemo, memo_of
from relay_kernel.inkernel.partition import Groups, join_by_objects


class Thing:
    """Can be told apart from another, and referred to weakly."""


class Told:
    """Must never be packed just to be looked up."""

    def __reduce__(self) -> Any:
        raise AssertionError("a mere question packed it")


def met_in(value: object) -> Any:
    """Return what a pickler met in ``value``."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=5)
    pickler.dump(value)
    return memo_of(pickler, file.getvalue())


def rows(count: int = 30_000) -> list[Any]:
    """A value whose memo is large."""
    return [[number] for number in range(count)]


@pytest.fixture
def large() -> tuple[LargeMemo, list[Any]]:
    """A large memo, and the value that it is of."""
    value = [*rows(), {}, set(), Thing()]
    return met_in(value), value


def test_small_memos_are_plain_dicts() -> None:
    """A thousand small variables would each cost a pickler of their own."""
    assert isinstance(met_in([[1], [2]]), dict)
    assert isinstance(met_in(list(range(1_000_000))), dict), "numbers are not in a memo"


def test_it_knows_what_was_met_and_what_is_only_equal(large: tuple[LargeMemo, list[Any]]) -> None:
    """Two variables would be taken for one, or one for two."""
    memo, value = large
    others = [[5], [], {}, set(), Thing(), Told(), bytearray(3), ([1],), Told]
    others.append(pickle.PickleBuffer(b"abc"))
    for _ in range(2):
        assert all(memo.holds(id(each), each) for each in value[-3:] + value[:3])
        assert not any(memo.holds(id(each), each) for each in others)


def test_spread_out_it_says_the_same(large: tuple[LargeMemo, list[Any]]) -> None:
    """A question would change the answer to the next one."""
    memo, value = large
    stranger: list[int] = []
    assert not memo.holds(id(stranger), stranger)
    assert id(stranger) not in memo.opened()
    assert {id(each) for each in value} <= memo.opened().keys()
    assert memo.holds(id(value[7]), value[7])


def test_it_lets_go(large: tuple[LargeMemo, list[Any]]) -> None:
    """A gigabyte that the user deleted would stay."""
    memo, value = large
    seen = weakref.ref(value[-1])
    memo.close()
    value.clear()
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("count", [1, 2, 3])
def test_pieces_join_where_they_meet(count: int) -> None:
    """A name for one row of a large table would no longer be that row."""
    tables = [rows() for _ in range(count)]
    strangers = [[0], {"k": [1]}, tables[0][5], [tables[-1][29_999]]]
    memos = [met_in(each) for each in [*tables, *strangers]]
    assert sum(isinstance(memo, LargeMemo) for memo in memos) == count
    groups = Groups(len(memos))
    join_by_objects(groups, memos, frozenset(), lambda thing: isinstance(thing, (list, dict)))
    wanted = {0: [0, count + 2], count - 1: [count - 1, count + 3]}
    if count == 1:
        wanted = {0: [0, 3, 4]}
    assert groups.joined() == [wanted[key] for key in sorted(wanted)]


def test_large_pieces_join_with_each_other() -> None:
    """Two large tables that share a row would part."""
    one, two = rows(), rows(40_000)
    two[7] = one[9]
    memos = [met_in(one), met_in(two), met_in([1])]
    groups = Groups(3)
    join_by_objects(groups, memos, frozenset(), lambda thing: isinstance(thing, list))
    assert groups.joined() == [[0, 1]]
