"""The chunks that the other side asked for, read one by one as there is room on the link."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relay_kernel.store.chunks import StoreError
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from relay_kernel.store.chunks import Store


class Wanted:
    """A bulk source for a :class:`relay_kernel.link.pump.Pump`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.keys: deque[str] = deque()

    def next(self) -> Message | None:
        """The next chunk, or word that it cannot be read; None: nothing is asked for."""
        if not self.keys:
            return None
        key = self.keys.popleft()
        try:
            return Message("chunk", {"key": key}, (self._store.get(key),))
        except StoreError as error:
            return Message("chunk", {"key": key, "error": str(error)})
