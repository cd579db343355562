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

#: Bytes that a chunk has at most; ``inkernel`` cuts them.
CHUNK = 1 << 20
#: The newest manifest of a store that is safe, and what it is of, in a few words for a list.
MANIFEST, ABOUT = "manifest.json", "about.json"

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

    Attributes:
        root: the folder.
        writers: how many kernels may be writing.
        untidy: whether there may be files that nobody ever kept: of a process that was killed, or
            of a capture that failed. They go at the next :meth:`keep`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.writers = 0
        self.untidy = False
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

    def drop(self, keys: Iterable[str]) -> None:
        """Remove chunks that somebody found damaged, so that they are missing."""
        for key in keys:
            self._path(key).unlink(missing_ok=True)
            self._durable.discard(key)

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
        try:
            draft.write_bytes(data)
            draft.chmod(0o600)
            draft.rename(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def take_in(self, key: str, other: Path) -> None:
        """Add a chunk that another store, at ``other``, has: as a link, or as a copy.

        Raises:
            FileNotFoundError: it has none.
            OSError: it cannot be written.
        """
        path = self._path(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        source = other / "chunks" / key[:2] / key
        try:
            path.hardlink_to(source)
        except FileNotFoundError:
            raise
        except OSError:
            self.put(key, source.read_bytes())

    def save(self, manifest: bytes, keys: Iterable[str], about: bytes = b"") -> None:
        """Make a manifest and all its chunks durable. When this returns, the state is safe.

        ``about`` says what it is, for a list.

        Slow (it waits for the disk): call it in a thread.

        Raises:
            OSError: the disk refused, or a chunk is not here.
        """
        fresh = [key for key in keys if key not in self._durable]
        for key in fresh:
            _sync(self._path(key))
        for folder in {self._path(key).parent for key in fresh}:
            _sync(folder)
        if about:
            _replace(self.root / ABOUT, about)
        _replace(self.root / MANIFEST, manifest)
        _sync(self.root)
        self._durable.update(fresh)

    def keep(self, owner: str, keys: Iterable[str]) -> None:
        """From now on ``owner`` needs just ``keys``; what nobody needs is removed."""
        self._kept[owner] = frozenset(keys)
        self._seen |= self._kept[owner]
        if self.writers:
            return
        if self.untidy:
            self._tidy()
        garbage = self._seen.difference(*self._kept.values())
        for key in garbage:
            self._path(key).unlink(missing_ok=True)
        self._seen -= garbage
        self._durable -= garbage

    def _tidy(self) -> None:
        """Remove every file that is no chunk that somebody keeps."""
        self.untidy = False
        kept = frozenset().union(*self._kept.values())
        for path in (self.root / "chunks").glob("*/*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
                self._durable.discard(path.name)

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


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
