"""Chunks of state on disk, named by their content.

Kernels write and read chunks here themselves (``inkernel`` has the same layout), so a large array
crosses a process boundary once, as a file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from typing import TYPE_CHECKING

from relay_kernel.core.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: blake2b with 20 bytes, in hexadecimal.
_KEY = re.compile(r"[0-9a-f]{40}")

#: Seconds after which a store that nobody has written a manifest to is nobody's.
ABANDONED = 14 * 86400.0


class StoreError(RelayError):
    """A chunk is missing, damaged, or wrongly named."""


def digest(data: bytes | memoryview) -> str:
    """The key of a chunk."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


class Store:
    """The chunks and the newest manifest of one notebook, in a private folder.

    A chunk is kept as long as some owner keeps it (:meth:`keep`); nothing is collected while a
    kernel may be writing (:attr:`writers`), since it does not write again what it finds here.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.writers = 0
        self._kept: dict[str, frozenset[str]] = {}
        self._seen: set[str] = set()
        self._durable: set[str] = set()
        for folder in (root, root / "chunks"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key[:60]!r} is not the name of a chunk")
        return self.root / "chunks" / key[:2] / key

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Which of ``keys`` are not here, in order."""
        return [key for key in keys if not self._path(key).exists()]

    def get(self, key: str) -> bytes:
        """The content of a chunk.

        Raises:
            StoreError: it is not here, or not what its name says.
        """
        try:
            data = self._path(key).read_bytes()
        except OSError as error:
            raise StoreError(f"chunk {key[:12]} cannot be read: {error}") from error
        if digest(data) != key:
            self._path(key).unlink(missing_ok=True)
            self._durable.discard(key)
            raise StoreError(f"chunk {key[:12]} is damaged on disk; it was removed")
        return data

    def put(self, key: str, data: bytes) -> None:
        """Add a chunk; all or nothing, and not yet durable.

        Raises:
            StoreError: ``data`` is not what ``key`` says.
            OSError: it cannot be written (disk full, say).
        """
        if digest(data) != key:
            raise StoreError(f"chunk {key[:12]} arrived damaged")
        path = self._path(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = path.with_name(f".{key}.{os.getpid()}")
        draft.write_bytes(data)
        draft.chmod(0o600)
        draft.rename(path)

    def save(self, manifest: bytes, keys: Iterable[str]) -> None:
        """Make a manifest and all its chunks durable. When this returns, the state is safe.

        Slow (it waits for the disk): call it in a thread.

        Raises:
            OSError: the disk refused, or a chunk is not here.
        """
        fresh = [key for key in keys if key not in self._durable]
        for key in fresh:
            _sync(self._path(key))
        for folder in {self._path(key).parent for key in fresh}:
            _sync(folder)
        draft = self.root / ".manifest.json"
        with draft.open("wb") as file:
            file.write(manifest)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.root / "manifest.json")
        _sync(self.root)
        self._durable.update(fresh)

    def keep(self, owner: str, keys: Iterable[str]) -> None:
        """From now on ``owner`` needs just ``keys``; what nobody needs is removed."""
        self._kept[owner] = frozenset(keys)
        self._seen |= self._kept[owner]
        if self.writers:
            return
        garbage = self._seen.difference(*self._kept.values())
        for key in garbage:
            self._path(key).unlink(missing_ok=True)
        self._seen -= garbage
        self._durable -= garbage

    def remove(self) -> None:
        """Remove everything: the notebook's life is over."""
        shutil.rmtree(self.root, ignore_errors=True)


def sweep(folder: Path, now: float, living: frozenset[str] = frozenset()) -> None:
    """Remove the stores of notebooks that ended without a word, long ago.

    Args:
        folder: has one store for each notebook.
        now: seconds since the epoch.
        living: names of notebooks that are open, however long they have been idle.
    """
    for store in folder.glob("*/"):
        if store.name not in living and now - store.stat().st_mtime > ABANDONED:
            shutil.rmtree(store, ignore_errors=True)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
