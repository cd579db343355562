"""What both ends of a pair last had, and had on disk: the third tree of every decision.

It lives on the server, one file for each folder and target. What is not in it in time costs a
second look; what is in it too early costs a file. So it follows only what is durable at both ends.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.core.errors import RelayError
from relay_kernel.core.tree import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    path BLOB PRIMARY KEY, kind TEXT NOT NULL, content BLOB NOT NULL,
    mode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conflicts (
    path BLOB NOT NULL, copy BLOB NOT NULL, at REAL NOT NULL, PRIMARY KEY (path, copy)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    path BLOB NOT NULL, towards TEXT NOT NULL, kind TEXT, content BLOB, mode INTEGER,
    PRIMARY KEY (path, towards)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_PUT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A conflict that nobody has looked at yet."""

    path: bytes
    copy: bytes
    """Where the target's version is, at both ends."""
    at: float
    """Seconds since the epoch."""


class Base:
    """The base of one pair. Calls that write wait for the disk: make them in a thread.

    Attributes:
        entries: the tree. Not changed by :meth:`write`: whoever reads it brings it up to date, with
            :meth:`follow`, where he reads it.
        conflicts: those that are open.
        orders: changes that an end was told to make, by end and path, and of which it is not known
            what became: the entry that it was to make there.
        id: names this base; new whenever one is begun from nothing.
        damaged: whether there was one that could not be read; it was put aside.
    """

    def __init__(self, file: Path) -> None:
        """Open it, or begin one.

        Raises:
            OSError: the folder is missing, full or not writable.
            sqlite3.Error: likewise.
        """
        self._file = file
        self._lock = threading.Lock()
        self.damaged = False
        self.entries: dict[bytes, Entry] = {}
        self.conflicts: list[Recorded] = []
        self.orders: dict[str, dict[bytes, Entry | None]] = {}
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self.damaged = True
            self._put_aside()
            self._open()

    def _open(self) -> None:
        self._db = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_TABLES)
            self._file.chmod(0o600)
            self._load()
            self.id = self.fact("id") or self._begin()
        except BaseException:
            self._db.close()
            raise

    def _load(self) -> None:
        rows = self._db.execute("SELECT path, kind, content, mode, size, mtime_ns FROM entries")
        kinds = {kind.value: kind for kind in Kind}
        self.entries = {
            path: Entry(kinds[kind], content, mode, size, mtime)
            for path, kind, content, mode, size, mtime in rows
        }
        rows = self._db.execute("SELECT path, towards, kind, content, mode FROM orders")
        for path, towards, kind, content, mode in rows:
            entry = None if kind is None else Entry(kinds[kind], content, mode)
            self.orders.setdefault(towards, {})[path] = entry
        found = self._db.execute("SELECT path, copy, at FROM conflicts ORDER BY at")
        self.conflicts = [Recorded(*row) for row in found]

    def _begin(self) -> str:
        name = secrets.token_hex(8)
        self.remember(id=name)
        return name

    def _put_aside(self) -> None:
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                part = self._file.with_name(self._file.name + ending)
                part.replace(part.with_name(f"damaged-{part.name}"))

    # ------------------------------------------------------------------ the tree

    def order(self, towards: str, changes: Mapping[bytes, Entry | None]) -> None:
        """Write down what the end ``towards`` is told to make, before it is told.

        If its answer is lost, what it made would look as if it had been done there on purpose.

        Raises:
            BaseError: the disk refused.
        """
        rows = [
            (path, towards, *((e.kind.value, e.content, e.mode) if e else (None, None, None)))
            for path, e in changes.items()
        ]
        with self._lock, _transaction(self._db):
            self._db.executemany("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)", rows)
        self.orders.setdefault(towards, {}).update(changes)

    def write(self, changes: Mapping[bytes, Entry | None], settled: Iterable[bytes] = ()) -> None:
        """Make ``changes`` durable, and forget what was ordered there and at ``settled``.

        Raises:
            BaseError: the disk refused.
        """
        over = {*changes, *settled}
        gone = [(path,) for path, entry in changes.items() if entry is None]
        there = [
            (path, entry.kind.value, entry.content, entry.mode, entry.size, entry.mtime_ns)
            for path, entry in changes.items()
            if entry is not None
        ]
        with self._lock, _transaction(self._db):
            self._db.executemany("DELETE FROM entries WHERE path = ?", gone)
            self._db.executemany(_PUT, there)
            self._db.executemany("DELETE FROM orders WHERE path = ?", [(path,) for path in over])
        for orders in self.orders.values():
            for path in over & orders.keys():
                del orders[path]

    def follow(self, changes: Mapping[bytes, Entry | None]) -> None:
        """Bring :attr:`entries` up to what was written."""
        for path, entry in changes.items():
            if entry is None:
                self.entries.pop(path, None)
            else:
                self.entries[path] = entry

    def clear(self) -> None:
        """Begin anew, from nothing: what is at either end is then new."""
        with self._lock, _transaction(self._db):
            self._db.execute("DELETE FROM entries")
            self._db.execute("DELETE FROM orders")
        self.orders.clear()
        self.entries.clear()

    # ------------------------------------------------------------------ facts

    def fact(self, name: str) -> str:
        """What was remembered under ``name``; empty: nothing."""
        with self._lock:
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def remember(self, **facts: str) -> None:
        """Keep some facts about the pair."""
        with self._lock, _transaction(self._db):
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    # ------------------------------------------------------------------ conflicts

    def add_conflicts(self, found: Iterable[Recorded]) -> list[Recorded]:
        """Record conflicts; returns those that were not known."""
        known = {(conflict.path, conflict.copy) for conflict in self.conflicts}
        new = [conflict for conflict in found if (conflict.path, conflict.copy) not in known]
        if new:
            with self._lock, _transaction(self._db):
                rows = [(conflict.path, conflict.copy, conflict.at) for conflict in new]
                self._db.executemany("INSERT OR REPLACE INTO conflicts VALUES (?, ?, ?)", rows)
            self.conflicts += new
        return new

    def end_conflicts(self, copies: Iterable[bytes]) -> None:
        """The conflicts with these copies are resolved, or dismissed."""
        ended = set(copies)
        with self._lock, _transaction(self._db):
            rows = [(copy,) for copy in ended]
            self._db.executemany("DELETE FROM conflicts WHERE copy = ?", rows)
        self.conflicts = [conflict for conflict in self.conflicts if conflict.copy not in ended]

    def close(self) -> None:
        """End; nothing may be called afterwards."""
        with self._lock:
            self._db.close()


class BaseError(RelayError):
    """What both ends have cannot be written down: the disk is full, say."""

    retryable = True


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    try:
        with db:
            db.execute("BEGIN IMMEDIATE")
            yield
    except sqlite3.Error as error:
        raise BaseError(f"what both ends have cannot be written down: {error}") from error
