"""A disk that is not mounted looks like a folder in which all was deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.deletions import MANY, doubt_deletions
from tests.core.ends import FOLDER, entry

if TYPE_CHECKING:
    from relay_kernel.core.tree import Entry


def files(folder: str, count: int, first: int = 0) -> dict[bytes, Entry]:
    """``count`` files in ``folder``, each with a content of its own."""
    tree = {folder.encode(): FOLDER} if folder else {}
    prefix = f"{folder}/" if folder else ""
    for number in range(first, first + count):
        tree[f"{prefix}{number}.txt".encode()] = entry(f"{folder}-{number}")
    return tree


def test_an_empty_folder_is_not_believed() -> None:
    assert doubt_deletions(files("", 3), {}) == "all 3 files are gone"


def test_what_was_empty_may_be_empty() -> None:
    assert doubt_deletions({}, {}) is None
    assert doubt_deletions({b"d": FOLDER}, {}) is None


def test_new_files_do_not_hide_that_all_old_ones_are_gone() -> None:
    assert doubt_deletions(files("", 3), {b"lost+found": FOLDER, b"new": entry("x")}) is not None


def test_half_of_a_few_may_go() -> None:
    assert doubt_deletions(files("", MANY - 1), files("", 1)) is None


def test_more_than_half_of_many_may_not() -> None:
    assert doubt_deletions(files("", MANY), files("", MANY // 2)) is None
    said = doubt_deletions(files("", MANY), files("", MANY // 2 - 1))
    assert said == "11 of 20 files are gone"


def test_a_whole_top_level_folder_of_many_may_not() -> None:
    rest = files("other", 100)
    base = rest | files("data", MANY)
    assert doubt_deletions(base, rest) == "all 20 files of the folder 'data' are gone"
    assert doubt_deletions(base, rest | files("data", 1)) is None


def test_a_folder_of_a_few_may() -> None:
    rest = files("other", 100)
    assert doubt_deletions(rest | files("data", MANY - 1), rest) is None


def test_what_was_renamed_is_not_gone() -> None:
    base = files("data", MANY)
    moved = {path.replace(b"data", b"kept", 1): what for path, what in base.items()}
    assert doubt_deletions(base, moved) is None


def test_a_copy_that_was_there_before_does_not_stand_for_it() -> None:
    backup = {path.replace(b"data", b"old", 1): what for path, what in files("data", MANY).items()}
    base = files("data", MANY) | backup | files("other", 100)
    tree = backup | files("other", 100)
    assert doubt_deletions(base, tree) == "all 20 files of the folder 'data' are gone"


def test_a_name_that_is_not_utf_8_can_be_told() -> None:
    base = {b"\xff/" + path: what for path, what in files("", MANY).items()} | files("d", 100)
    assert doubt_deletions(base, files("d", 100)) == r"all 20 files of the folder '\\xff' are gone"
