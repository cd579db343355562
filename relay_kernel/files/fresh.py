"""Small files that were just read to be hashed, and are likely to be asked for next."""

from __future__ import annotations

import threading

#: Bytes that are kept at most; what is not kept is read once more.
ROOM = 32 << 20


class Fresh:
    """Contents by path, each until it is asked for once. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: dict[bytes, tuple[bytes, bytes]] = {}
        self._size = 0

    def keep(self, path: bytes, digest: bytes, content: bytes) -> None:
        """A file was read; the oldest make room for it."""
        with self._lock:
            self._drop(path)
            self._contents[path] = digest, content
            self._size += len(content)
            while self._size > ROOM:
                self._drop(next(iter(self._contents)))

    def take(self, path: bytes, digest: bytes) -> bytes | None:
        """What was read at ``path``, if it has this digest; from now on it is not here."""
        with self._lock:
            found, content = self._drop(path)
            return content if found == digest else None

    def _drop(self, path: bytes) -> tuple[bytes, bytes]:
        gone = self._contents.pop(path, (b"", b""))
        self._size -= len(gone[1])
        return gone

    def clear(self) -> None:
        """Nobody has asked for what is left."""
        with self._lock:
            self._contents.clear()
            self._size = 0
