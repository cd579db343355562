"""What was just read is given once, and only so much of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.files import fresh
from relay_kernel.files.fresh import Fresh

if TYPE_CHECKING:
    import pytest


def test_each_is_given_once_and_as_what_it_was() -> None:
    kept = Fresh()
    kept.keep(b"f", b"old", b"1")
    kept.keep(b"f", b"new", b"2")
    assert kept.take(b"f", b"new") == b"2"
    assert kept.take(b"f", b"new") is None
    kept.keep(b"f", b"new", b"2")
    assert kept.take(b"f", b"other") is None


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "ROOM", 10)
    kept = Fresh()
    for path in (b"1", b"2", b"3"):
        kept.keep(path, b"d", bytes(4))
    assert [kept.take(path, b"d") is None for path in (b"1", b"2", b"3")] == [True, False, False]
    kept.keep(b"4", b"d", bytes(11))
    assert kept.take(b"4", b"d") is None
    kept.keep(b"5", b"d", bytes(10))
    kept.clear()
    assert kept.take(b"5", b"d") is None
    kept.keep(b"6", b"d", bytes(10))
    assert kept.take(b"6", b"d") == bytes(10)
