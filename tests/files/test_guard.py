"""What is no work of a person: most of a folder gone at once, and files that a power cut took."""

from __future__ import annotations

import pytest

from relay_kernel.core.plan import Change
from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import digest
from relay_kernel.files.guard import Guard, is_damaged

FOLDER = Entry(Kind.FOLDER, mode=0o755)


def tree(count: int, folder: bytes = b"d") -> dict[bytes, Entry]:
    files = {
        folder + b"/%d" % n: Entry(Kind.FILE, digest(folder + b"%d" % n), 0o644, 9)
        for n in range(count)
    }
    return {folder: FOLDER, **files}


def deletions(base: dict[bytes, Entry], source: dict[bytes, Entry]) -> list[Change]:
    return [Change(path, base[path], None) for path in base if path not in source]


def alarm(base: dict[bytes, Entry], source: dict[bytes, Entry]) -> str:
    return Guard().alarm(deletions(base, source), base, source, "at pc", 0.0)


@pytest.mark.parametrize(
    ("had", "left", "asks"),
    [(2, 0, False), (3, 0, True), (12, 4, False), (100, 60, False), (100, 49, True)],
)
def test_it_asks_when_most_of_it_is_gone(had: int, left: int, asks: bool) -> None:
    base = tree(had)
    source = dict(list(base.items())[: left + 1]) if left else {}
    assert bool(alarm(base, source)) is asks


def test_portions_are_counted_together() -> None:
    guard, base = Guard(), tree(100)
    source, asked = dict(base), []
    for portion in range(6):
        for number in range(portion * 10, portion * 10 + 10):
            del source[b"d/%d" % number]
        asked.append(guard.alarm(deletions(base, source), base, source, "at pc", float(portion)))
        base = dict(source)
    assert [bool(reason) for reason in asked] == [False] * 5 + [True]


def test_an_hour_later_they_are_not() -> None:
    guard, base = Guard(), tree(100)
    source = dict(list(base.items())[:61])
    assert not guard.alarm(deletions(base, source), base, source, "at pc", 0.0)
    later = dict(list(source.items())[:41])
    assert not guard.alarm(deletions(source, later), source, later, "at pc", 3600.0)


def test_a_folder_in_the_root_that_is_gone_as_a_whole_is_asked_about() -> None:
    base = {**tree(30, b"mount"), **tree(1000, b"rest")}
    emptied = {path: entry for path, entry in base.items() if not path.startswith(b"mount/")}
    assert "mount" in alarm(base, emptied)


def test_what_was_moved_is_not_gone() -> None:
    base = tree(100)
    moved = {path.replace(b"d", b"e", 1): entry for path, entry in base.items()}
    assert not alarm(base, moved)


@pytest.mark.parametrize(
    ("size", "mtime_ns", "damaged"),
    [(0, 5, True), (3, 4, True), (0, 6, False), (9, 5, False), (10, 5, False)],
)
def test_shorter_and_no_newer_is_damage(size: int, mtime_ns: int, damaged: bool) -> None:
    base = Entry(Kind.FILE, digest(b"good"), 0o644, 9, 5)
    found = Entry(Kind.FILE, digest(b"bad"), 0o644, size, mtime_ns)
    assert is_damaged(base, found) is damaged
    assert not is_damaged(base, None)
    assert not is_damaged(None, found)
