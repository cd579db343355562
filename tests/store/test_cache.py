"""A PC's stores of notebooks that are away take no more than they may."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relay_kernel.store.cache import bound
from relay_kernel.store.chunks import Store, digest

if TYPE_CHECKING:
    from pathlib import Path


def cached(folder: Path, name: str, age: float) -> Store:
    store = Store(folder / name)
    content = name.encode() * 1000
    store.put(digest(content), content)
    for path in (store.root, *store.root.rglob("*")):
        os.utime(path, (1e9 - age, 1e9 - age))
    return store


def test_the_one_used_longest_ago_goes_first(tmp_path: Path) -> None:
    for number, name in enumerate(("aa", "bb", "cc")):
        cached(tmp_path, name, age=number)
    bound(tmp_path, frozenset(), most=4500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aa", "bb"]


def test_one_in_use_stays_whatever_it_takes(tmp_path: Path) -> None:
    cached(tmp_path, "old", age=9)
    cached(tmp_path, "new", age=0)
    bound(tmp_path, frozenset({"old"}), most=0)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_folder_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    bound(tmp_path / "none", frozenset())
