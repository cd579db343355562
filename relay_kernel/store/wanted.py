"""The chunks that the other side asked for, read one by one as there is room on the link."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from relay_kernel.store.chunks import CHUNK, StoreError
from relay_kernel.wire.compression import difference, expand, squeeze
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relay_kernel.store.chunks import Store

#: Chunks that are read before they are asked for; more would only lie in memory.
AHEAD = 4


class BaseError(StoreError):
    """A chunk came as its difference to one that cannot be read here: it has to come whole."""


class Wanted:
    """A bulk source for a :class:`relay_kernel.link.pump.Pump`.

    Args:
        store: where the chunks are.
        on_bad: called with the key of one that cannot be read; True: it will be asked for again.
    """

    def __init__(self, store: Store, on_bad: Callable[[str], bool] | None = None) -> None:
        self._store = store
        self._on_bad = on_bad
        #: Keys, each with that of a chunk which whoever asked has.
        self._asked: deque[tuple[str, str | None]] = deque()

    def ask(self, keys: Iterable[str], of: Iterable[str | None] = ()) -> None:
        """Chunks are asked for; those of ``of``, by the place of their key, may be their bases."""
        self._asked.extend(zip(keys, chain(of, repeat(None)), strict=False))

    def next(self) -> Message | None:
        """The next chunk, or word that it cannot be read; None: nothing is asked for."""
        while self._asked:
            key, _ = self._asked.popleft()
            try:
                return Message("chunk", {"key": key}, (self._store.get(key),))
            except StoreError as error:
                if message := self._bad(key, error):
                    return message
        return None

    def clear(self) -> None:
        """Nothing that was asked for is wanted any more."""
        self._asked.clear()

    def _bad(self, key: str, error: StoreError) -> Message | None:
        if self._on_bad and self._on_bad(key):
            return None
        return Message("chunk", {"key": key, "error": str(error)})


class Prefetched(Wanted):
    """The same for a real line: chunks are read, checked and compressed in threads, ahead of time.

    Args:
        store: where the chunks are.
        ready: called on the loop when :meth:`next` may have something to give.
        on_bad: see :class:`Wanted`.
    """

    def __init__(
        self,
        store: Store,
        ready: Callable[[], None],
        on_bad: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(store, on_bad)
        self._ready = ready
        #: In the order in which they were asked for.
        self._coming: deque[tuple[str, asyncio.Future[Message]]] = deque()

    def next(self) -> Message | None:
        """The next chunk if it is read already; ``ready`` is called when there is one."""
        self._read_ahead()
        while self._coming and self._coming[0][1].done():
            key, future = self._coming.popleft()
            self._read_ahead()
            error = future.exception()
            if error is None:
                return future.result()
            told = error if isinstance(error, StoreError) else StoreError(str(error))
            if message := self._bad(key, told):
                return message
        return None

    def clear(self) -> None:
        """See :class:`Wanted`."""
        super().clear()
        self._coming.clear()

    def _read_ahead(self) -> None:
        while self._asked and len(self._coming) < AHEAD:
            key, base = self._asked.popleft()
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(None, self._read, key, base)
            future.add_done_callback(self._on_read)
            self._coming.append((key, future))

    def _on_read(self, future: asyncio.Future[Message]) -> None:
        future.exception()  # Looked at, also if nobody wants it any more.
        if self._coming and self._coming[0][1].done():
            self._ready()

    def _read(self, key: str, base: str | None) -> Message:
        data = self._store.get(key)
        if base is not None:
            with contextlib.suppress(StoreError):
                return chunk_message(key, data, (base, self._store.get(str(base))))
        return chunk_message(key, data)


def chunk_message(key: str, data: bytes, base: tuple[str, bytes] | None = None) -> Message:
    """A chunk as it travels over a line; ``base`` is the key and content of one like it."""
    head: dict[str, Any] = {"key": key}
    small = difference(data, base[1]) if base else None
    if base and small is not None:
        head["of"] = base[0]
    else:
        small = squeeze(data)
    if small is None:
        return Message("chunk", head, (data,))
    return Message("chunk", {**head, "zstd": len(data)}, (small,))


def chunk_data(message: Message, store: Store) -> bytes:
    """The plain content of a chunk that came.

    Args:
        message: the chunk.
        store: has what it may be a difference to.

    Raises:
        BaseError: it does not have that any more.
        StoreError: it is no chunk.
    """
    data, size = bytes(message.parts[0]), message.head.get("zstd")
    if size is None:
        return data
    name = message.head["key"][:12]
    if not isinstance(size, int) or not 0 <= size <= CHUNK:
        raise StoreError(f"chunk {name} claims to have {size} bytes")
    try:
        return expand(data, size, _base(message.head, store))
    except ProtocolError as error:
        raise StoreError(f"chunk {name} arrived damaged: {error}") from error


def _base(head: dict[str, Any], store: Store) -> bytes:
    if "of" not in head:
        return b""
    try:
        return store.get(str(head["of"]))
    except StoreError as error:
        raise BaseError(str(error)) from error
