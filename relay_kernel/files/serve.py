"""Gives the other end what it asks for: pieces of files, verified, and where content is known."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import CHUNK, count, digest, hash_pieces, read_piece, whole
from relay_kernel.files.durable import MANY, sync, sync_all, sync_named
from relay_kernel.files.errors import ChangedError, UnsafePathError
from relay_kernel.files.root import Parents, show
from relay_kernel.files.stage import Supply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from relay_kernel.files.parts import Parts

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Source:
    """Where the content of a file is at this end already.

    Attributes:
        path: in the folder, or in the trash.
        when: the moment of the trash that it lies in; empty: it is in the folder.
    """

    path: bytes
    when: str = ""


class Server:
    """What one end serves. Its methods are those of the folder, and are described there."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._root = parts.root
        self._by_content: dict[bytes, bytes] | None = None

    def changed(self) -> None:
        """The tree is another now."""
        self._by_content = None

    def pieces(self, path: bytes, entry: Entry) -> list[bytes]:
        """The digests of the pieces of a file."""
        if entry.size <= CHUNK:
            return [entry.content]
        known = self._parts.index.pieces(path, entry.content)
        if known is not None:
            return known
        with self._reading(path) as fd:
            found = [piece for piece, _ in hash_pieces(fd, entry.size)]
        if len(found) != count(entry.size) or whole(entry.size, found) != entry.content:
            raise _changed(path)
        return found

    def read(self, path: bytes, entry: Entry, numbers: Iterable[int]) -> Iterator[bytes]:
        """Pieces of a file."""
        pieces = self.pieces(path, entry)
        with self._reading(path) as fd:
            for number in numbers:
                if not 0 <= number < len(pieces):
                    raise _changed(path)
                data = read_piece(fd, entry.size, number)
                if digest(data) != pieces[number]:
                    raise _changed(path)
                yield data

    def contents(self, wanted: Iterable[tuple[bytes, Entry] | None]) -> list[bytes | str | None]:
        """All of files that are one piece each."""
        with Parents(self._root.fd) as parents:
            return [None if one is None else self._content(parents, *one) for one in wanted]

    def _content(self, parents: Parents, path: bytes, entry: Entry) -> bytes | str:
        fresh = self._parts.fresh.take(path, entry.content)
        if fresh is not None:
            return fresh
        try:
            with self._opened(parents, path) as fd:
                data = read_piece(fd, min(entry.size, CHUNK), 0)
            if digest(data) != entry.content:
                raise _changed(path)
        except ChangedError as error:
            return str(error)
        return data

    @contextlib.contextmanager
    def _reading(self, path: bytes) -> Iterator[int]:
        with Parents(self._root.fd) as parents, self._opened(parents, path) as fd:
            yield fd

    @contextlib.contextmanager
    def _opened(self, parents: Parents, path: bytes) -> Iterator[int]:
        try:
            at, name = parents.of(path)
            fd = os.open(name, _READ, dir_fd=at)
        except (OSError, UnsafePathError) as error:
            raise _changed(path) from error
        try:
            yield fd
        except OSError as error:
            raise _changed(path) from error
        finally:
            os.close(fd)

    def flush(self, paths: Sequence[bytes]) -> None:
        """Make durable what is at ``paths``."""
        if len(paths) > MANY:
            sync_all(self._root.fd)
            return
        folders: set[bytes] = set()
        gone = (FileNotFoundError, NotADirectoryError, UnsafePathError)
        with Parents(self._root.fd) as parents:
            for path in paths:
                folders.update(_ancestors(path))
                known = self._parts.picture.tree.get(path)
                if known is not None and known.kind is not Kind.LINK:
                    with contextlib.suppress(*gone):
                        at, name = parents.of(path)
                        sync_named(at, name)
            for folder in folders:
                with contextlib.suppress(*gone):
                    sync(parents.folder(folder) if folder else self._root.fd)

    def find(self, entry: Entry) -> Source | None:
        """Where the content of a file is here already."""
        if entry.kind is not Kind.FILE:
            return None
        if self._by_content is None:
            tree = self._parts.picture.tree
            self._by_content = {
                known.content: path for path, known in tree.items() if known.kind is Kind.FILE
            }
        path = self._by_content.get(entry.content)
        if path is not None:
            return Source(path)
        trashed = self._parts.trash.holding(entry.content)
        return Source(*trashed) if trashed else None

    def supplies(self, entry: Entry, like: bytes | None) -> Iterator[Supply]:
        """What is here that may have pieces of a file: the same content, then what it replaces."""
        gone = (OSError, UnsafePathError, ChangedError)
        source = self.find(entry)
        if source is not None:
            with contextlib.suppress(*gone):
                yield self._supply(source, entry)
        known = self._parts.picture.tree.get(like) if like is not None else None
        if like is not None and known is not None and known.kind is Kind.FILE:
            with contextlib.suppress(*gone):
                yield self._supply(Source(like), known)

    def _supply(self, source: Source, entry: Entry) -> Supply:
        top = self._root.trash if source.when else self._root.fd
        path = os.fsencode(source.when) + b"/" + source.path if source.when else source.path
        with Parents(top) as parents:
            at, name = parents.of(path)
            fd = os.open(name, _READ, dir_fd=at)
        try:
            return Supply(fd, entry.size, self._pieces_of(source, entry, fd))
        except BaseException:
            os.close(fd)
            raise

    def _pieces_of(self, source: Source, entry: Entry, fd: int) -> Sequence[bytes]:
        if not source.when:
            return self.pieces(source.path, entry)
        known = self._parts.index.pieces(source.path, entry.content)
        return known or [piece for piece, _ in hash_pieces(fd, entry.size)]


def _changed(path: bytes) -> ChangedError:
    return ChangedError(f"{show(path)} has changed meanwhile")


def _ancestors(path: bytes) -> Iterator[bytes]:
    """The folders that lead to a path, the nearest first, and the root."""
    while path:
        path = path[: max(0, path.rfind(b"/"))]
        yield path
