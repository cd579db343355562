"""Chunks are read from disk one by one, when there is room, and a bad one is said to be bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay_kernel.store.chunks import Store, digest
from relay_kernel.store.wanted import Wanted
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_chunks_come_in_the_order_in_which_they_were_asked_for(store: Store) -> None:
    contents = [b"one", b"two", b"three"]
    keys = [digest(data) for data in contents]
    for key, data in zip(keys, contents, strict=True):
        store.put(key, data)
    wanted = Wanted(store)
    wanted.keys.extend(keys[:2])
    first = wanted.next()
    wanted.keys.extend(keys[2:])
    assert [first, wanted.next(), wanted.next()] == [
        Message("chunk", {"key": key}, (data,)) for key, data in zip(keys, contents, strict=True)
    ]
    assert wanted.next() is None


@pytest.mark.parametrize("key", [digest(b"gone"), "../manifest.json"], ids=["gone", "no key"])
def test_a_chunk_that_cannot_be_read_is_answered_with_the_reason(store: Store, key: str) -> None:
    """Whoever asked would wait for ever otherwise."""
    wanted = Wanted(store)
    wanted.keys.append(key)
    message = wanted.next()
    assert message
    assert message.head["key"] == key
    assert message.head["error"]
    assert message.parts == ()
    assert wanted.next() is None
