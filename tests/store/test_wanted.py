"""Chunks are read from disk one by one, when there is room, and a bad one is said to be bad."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.store.chunks import CHUNK, Store, StoreError, digest
from relay_kernel.store.wanted import AHEAD, BaseError, Prefetched, Wanted, chunk_data
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable
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
    wanted.ask(keys[:2])
    first = wanted.next()
    wanted.ask(keys[2:])
    assert [first, wanted.next(), wanted.next()] == [
        Message("chunk", {"key": key}, (data,)) for key, data in zip(keys, contents, strict=True)
    ]
    assert wanted.next() is None


@pytest.mark.parametrize("key", [digest(b"gone"), "../manifest.json"], ids=["gone", "no key"])
def test_a_chunk_that_cannot_be_read_is_answered_with_the_reason(store: Store, key: str) -> None:
    """Whoever asked would wait for ever otherwise."""
    wanted = Wanted(store)
    wanted.ask([key])
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

    async def gets(self, *keys: str, of: Iterable[Any] = ()) -> list[Message]:
        """Ask, and wait until as many have come."""
        self.source.ask(keys, of)
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
        assert [chunk_data(message, store) for message in came] == contents
        assert [len(message.parts[0]) < CHUNK for message in came] == [True, False] * (
            len(keys) // 2
        )

    async def test_a_bad_one_is_told_and_holds_up_nobody(self, store: Store) -> None:
        store.put(digest(b"well"), b"well")
        came = await Line(store).gets(digest(b"gone"), digest(b"well"))
        assert came[0].head["error"]
        assert chunk_data(came[1], store) == b"well"

    async def test_a_bad_one_that_is_asked_for_again_is_not_told(self, store: Store) -> None:
        bad: list[str] = []
        store.put(digest(b"well"), b"well")
        line = Line(store, on_bad=lambda key: bad.append(key) or True)
        line.source.ask([digest(b"gone")])
        (came,) = await line.gets(digest(b"well"))
        assert chunk_data(came, store) == b"well"
        assert bad == [digest(b"gone")]

    async def test_what_is_wanted_no_more_does_not_come(self, store: Store) -> None:
        store.put(digest(b"old"), b"old")
        store.put(digest(b"new"), b"new")
        line = Line(store)
        line.source.ask([digest(b"old")])
        assert line.source.next() is None
        line.source.clear()
        (came,) = await line.gets(digest(b"new"))
        assert chunk_data(came, store) == b"new"

    async def test_one_that_differs_a_little_from_what_is_there_is_small(
        self, store: Store, tmp_path: Path
    ) -> None:
        old = random.Random(5).randbytes(CHUNK)
        new = b"changed" + old[7:]
        for data in (old, new):
            store.put(digest(data), data)
        (came,) = await Line(store).gets(digest(new), of=[digest(old)])
        assert came.head == {"key": digest(new), "of": digest(old), "zstd": CHUNK}
        assert len(came.parts[0]) < 200
        assert chunk_data(came, store) == new

        # Who has lost that meanwhile can tell.
        with pytest.raises(BaseError):
            chunk_data(came, Store(tmp_path / "empty"))

    @pytest.mark.parametrize("base", [digest(b"gone"), "../manifest.json", 7])
    async def test_what_it_may_differ_from_need_not_be_here(
        self, store: Store, base: object
    ) -> None:
        data = random.Random(5).randbytes(CHUNK)
        store.put(digest(data), data)
        (came,) = await Line(store).gets(digest(data), of=[base])
        assert came.head == {"key": digest(data)}
        assert came.parts == (data,)


@pytest.mark.parametrize("size", [-1, CHUNK + 1, "many"])
def test_a_size_that_no_chunk_has_is_refused(store: Store, size: object) -> None:
    with pytest.raises(StoreError, match="claims"):
        chunk_data(Message("chunk", {"key": digest(b""), "zstd": size}, (b"x",)), store)
