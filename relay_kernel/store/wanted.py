"""The chunks that the other side asked for, read one by one as there is room on the link."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from relay_kernel.store.chunks import CHUNK, StoreError
from relay_kernel.wire.compression import expand, squeeze
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.store.chunks import Store

#: Chunks that are read before they are asked for; more would only lie in memory.
AHEAD = 4


class Wanted:
    """A bulk source for a :class:`relay_kernel.link.pump.Pump`.

    Args:
        store: where the chunks are.
        on_bad: called with the key of one that cannot be read; True: it will be asked for again.
    """

    def __init__(self, store: Store, on_bad: Callable[[str], bool] | None = None) -> None:
        self._store = store
        self._on_bad = on_bad
        self.keys: deque[str] = deque()

    def next(self) -> Message | None:
        """The next chunk, or word that it cannot be read; None: nothing is asked for."""
        while self.keys:
            key = self.keys.popleft()
            try:
                return chunk_message(key, self._store.get(key))
            except StoreError as error:
                if message := self._bad(key, error):
                    return message
        return None

    def clear(self) -> None:
        """Nothing that was asked for is wanted any more."""
        self.keys.clear()

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
        while self.keys and len(self._coming) < AHEAD:
            key = self.keys.popleft()
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(None, self._read, key)
            future.add_done_callback(self._on_read)
            self._coming.append((key, future))

    def _on_read(self, future: asyncio.Future[Message]) -> None:
        future.exception()  # Looked at, also if nobody wants it any more.
        if self._coming and self._coming[0][1].done():
            self._ready()

    def _read(self, key: str) -> Message:
        data = self._store.get(key)
        small = squeeze(data)
        return chunk_message(key, data) if small is None else chunk_message(key, small, len(data))


def chunk_message(key: str, data: bytes, size: int | None = None) -> Message:
    """A chunk on its way; with ``size``, that of the plain content, ``data`` is compressed."""
    head: dict[str, Any] = {"key": key} if size is None else {"key": key, "zstd": size}
    return Message("chunk", head, (data,))


def chunk_data(message: Message) -> bytes:
    """The plain content of a chunk that came.

    Raises:
        StoreError: it is none.
    """
    data, size = bytes(message.parts[0]), message.head.get("zstd")
    if size is None:
        return data
    if not isinstance(size, int) or not 0 <= size <= CHUNK:
        raise StoreError(f"chunk {message.head['key'][:12]} claims to have {size} bytes")
    try:
        return expand(data, size)
    except ProtocolError as error:
        raise StoreError(f"chunk {message.head['key'][:12]} arrived damaged: {error}") from error
