"""What a person waits for does not stand behind a checkpoint of a gigabyte."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from relay_kernel.core.order import LARGE, SMALL, order
from relay_kernel.core.reconcile import Change
from relay_kernel.core.tree import Entry, Kind
from tests.core.ends import FOLDER, End
from tests.core.test_reconcile_properties import PAIRS, Pair


def new(path: bytes, size: int = 0, age: int = 0) -> Change:
    return Change(path, None, Entry(Kind.FILE, path, 0o644, size=size, mtime_ns=-age))


def names(changes: list[Change]) -> list[bytes]:
    return [change.path for change in changes]


def test_small_files_come_first_and_large_ones_last() -> None:
    changes = [new(b"1 GB", 1 << 30), new(b"1 MB", 1 << 20), new(b"1 KB", 1 << 10)]
    assert names(order(changes)) == [b"1 KB", b"1 MB", b"1 GB"]


def test_of_files_of_about_one_size_the_newest_comes_first() -> None:
    changes = [new(b"old", 1, age=9), new(b"new", SMALL - 1, age=1), new(b"older", 0, age=99)]
    assert names(order(changes)) == [b"new", b"old", b"older"]


def test_what_the_last_cell_wrote_comes_before_backlog() -> None:
    changes = [new(b"backlog", 1), new(b"result", 1 << 20), new(b"earlier", 1)]
    ranks = {b"result": 7, b"earlier": 6}
    ordered = order(changes, lambda path: ranks.get(path, 0))
    assert names(ordered) == [b"result", b"earlier", b"backlog"]


def test_a_large_file_waits_for_backlog_even_if_the_last_cell_wrote_it() -> None:
    changes = [new(b"checkpoint", LARGE), new(b"older", LARGE, age=1), new(b"backlog", 1)]
    ordered = order(changes, lambda path: int(path == b"checkpoint"))
    assert names(ordered) == [b"backlog", b"checkpoint", b"older"]


def test_what_ships_nothing_comes_first_and_removals_last() -> None:
    link = Change(b"link", None, Entry(Kind.LINK, b"x"))
    folder = Change(b"d", None, FOLDER)
    gone = Change(b"gone", FOLDER, None)
    mode = Change(b"m", Entry(Kind.FILE, b"m", 0o644), Entry(Kind.FILE, b"m", 0o755, LARGE))
    ordered = order([new(b"d/a", 1), folder, gone, link, mode])
    assert names(ordered) == [b"d", b"link", b"m", b"d/a", b"gone"]


def test_a_copy_comes_before_what_waits_for_it_however_large() -> None:
    copy = new(b"a (pc)", 1 << 30)
    small = Entry(Kind.FILE, b"s", size=1)
    changes = [copy, Change(b"a", copy.new, small, kept_at=b"a (pc)")]
    assert order(changes) == changes


@settings(max_examples=200, deadline=None)
@given(PAIRS, st.integers(0, 3))
def test_any_plan_can_be_made_in_that_order(pair: Pair, seed: int) -> None:
    plan = pair.plan()

    def rank(path: bytes) -> int:
        return (sum(path) + seed) % 4

    def make(end: End, changes: tuple[Change, ...]) -> None:
        for change in order(changes, rank):
            assert not end.refuses(change)
            end.apply(change)

    make(pair.server, plan.server)
    make(pair.target, plan.target)
    assert pair.server.tree == pair.target.tree
