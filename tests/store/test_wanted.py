"""Chunks are read from disk one by one, when there is room, and a bad one is said to be bad."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from relay_kernel.store.chunks import CHUNK, Store, StoreError, digest
from relay_kernel.store.wanted import AHEAD, Prefetched, Wanted, chunk_data
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


class Line:
    """Takes chunks from a source as a line does that has room."""

    def __init__(self, store: Store, **how: object) -> None:
        self.source = Prefetched(store, self._ready, **how)  # type: ignore[arg-type]
        self.came: list[Message] = []
        self._changed = asyncio.Event()

    def _ready(self) -> None:
        while message := self.source.next():
            self.came.append(message)
        self._changed.set()

    async def gets(self, *keys: str) -> list[Message]:
        """Ask, and wait until as many have come."""
        self.source.keys.extend(keys)
        self._ready()
        async with asyncio.timeout(20):
            while len(self.came) < len(keys):
                self._changed.clear()
                await self._changed.wait()
        came, self.came = self.came, []
        return came


class TestPrefetched:
    async def test_order_and_content_are_kept_whatever_is_compressed(self, store: Store) -> None:
        noise = random.Random(3)
        contents = [
            noise.randbytes(CHUNK) if number % 2 else bytes([number]) * CHUNK
            for number in range(3 * AHEAD)
        ]
        keys = [digest(data) for data in contents]
        for key, data in zip(keys, contents, strict=True):
            store.put(key, data)
        came = await Line(store).gets(*keys)
        assert [message.head["key"] for message in came] == keys
        assert [chunk_data(message) for message in came] == contents
        assert [len(message.parts[0]) < CHUNK for message in came] == [True, False] * (
            len(keys) // 2
        )

    async def test_a_bad_one_is_told_and_holds_up_nobody(self, store: Store) -> None:
        store.put(digest(b"well"), b"well")
        came = await Line(store).gets(digest(b"gone"), digest(b"well"))
        assert came[0].head["error"]
        assert chunk_data(came[1]) == b"well"

    async def test_a_bad_one_that_is_asked_for_again_is_not_told(self, store: Store) -> None:
        bad: list[str] = []
        store.put(digest(b"well"), b"well")
        line = Line(store, on_bad=lambda key: bad.append(key) or True)
        line.source.keys.append(digest(b"gone"))
        (came,) = await line.gets(digest(b"well"))
        assert chunk_data(came) == b"well"
        assert bad == [digest(b"gone")]

    async def test_what_is_wanted_no_more_does_not_come(self, store: Store) -> None:
        store.put(digest(b"old"), b"old")
        store.put(digest(b"new"), b"new")
        line = Line(store)
        line.source.keys.append(digest(b"old"))
        assert line.source.next() is None
        line.source.clear()
        (came,) = await line.gets(digest(b"new"))
        assert chunk_data(came) == b"new"


@pytest.mark.parametrize("size", [-1, CHUNK + 1, "many"])
def test_a_size_that_no_chunk_has_is_refused(size: object) -> None:
    with pytest.raises(StoreError, match="claims"):
        chunk_data(Message("chunk", {"key": digest(b""), "zstd": size}, (b"x",)))
