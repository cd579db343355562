"""Digests that need not be computed again: what a file was when it was read."""

from __future__ import annotations

import contextlib
import enum
import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relay_kernel.files.digest import CHUNK

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

#: Nanoseconds within which two changes of a file may bear the same time.
GRANULE = 20_000_000
COARSE_GRANULE = 2_100_000_000
#: Nanoseconds before a power cut from which on a file may hold less than its times say.
DOUBT = 600_000_000_000
#: Lists of pieces of versions that are no longer current, kept while they may be asked for.
_RECENT = 32

_SCHEMA = """
create table if not exists meta (name text primary key, value text) without rowid;
create table if not exists files (
    path blob primary key, size integer, mtime integer, ctime integer, inode integer,
    content blob, taken integer, trust integer) without rowid;
create table if not exists pieces (path blob primary key, content blob, list blob) without rowid;
"""
_VERSION = "2"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Trust(enum.IntEnum):
    """What may be concluded when a file still has the times it had."""

    SURE = 0
    RACY = 1
    """It was changed just before it was read: a change just after may bear the same time."""
    LIVE = 2
    """Somebody had it open for writing."""


class Row(NamedTuple):
    """A file as it was when it was read."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    content: bytes
    trust: Trust

    def holds(self, found: os.stat_result) -> bool:
        """Whether the file is surely what it was."""
        return (
            self.ctime_ns == found.st_ctime_ns
            and self.size == found.st_size
            and self.mtime_ns == found.st_mtime_ns
            and self.inode == found.st_ino
            and self.trust is Trust.SURE
        )


def row_of(found: os.stat_result, content: bytes, trust: Trust) -> Row:
    """The row of a file that was read while it looked like ``found``."""
    return Row(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, content, trust)


class Index:
    """What is known of the files of one folder; a cache, so losing it costs time only.

    Attributes:
        rows: the files, by path.
        rebooted: whether the machine was started anew since the index was last written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[bytes, Row] = {}
        self.rebooted = False
        self._changed: set[bytes] = set()
        self._pieces: dict[bytes, tuple[bytes, bytes]] = {}
        self._recent: OrderedDict[bytes, bytes] = OrderedDict()
        self._by_inode: dict[int, set[bytes]] | None = None
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Read what is there. A damaged index is thrown away."""
        try:
            self._load()
        except sqlite3.DatabaseError:
            self.close()
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self.rows.clear()
            self._load()

    def _load(self) -> None:
        database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._database = database
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=normal")
        database.executescript(_SCHEMA)
        meta = dict(database.execute("select name, value from meta"))
        boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
        self.rebooted = bool(meta) and meta.get("boot") != boot
        if meta.get("version", _VERSION) != _VERSION:
            database.executescript("drop table files; drop table pieces;" + _SCHEMA)
        if self.rebooted:
            # A cut may have kept the times of a file and lost what was in it.
            database.execute(
                "delete from files where ctime > (select max(taken) from files) - ?", (DOUBT,)
            )
        database.executemany(
            "insert or replace into meta values (?, ?)", [("version", _VERSION), ("boot", boot)]
        )
        trust = list(Trust)
        self.rows = {
            row[0]: Row(row[1], row[2], row[3], row[4], row[5], trust[row[6]])
            for row in database.execute(
                "select path, size, mtime, ctime, inode, content, trust from files"
            )
        }

    def get(self, path: bytes, found: os.stat_result) -> bytes | None:
        """The digest of the file at ``path``, if it looks just as it did when it was read."""
        row = self.rows.get(path)
        if row is not None and row.holds(found):
            return row.content
        return None

    def put(self, path: bytes, row: Row, pieces: Sequence[bytes] | None = None) -> None:
        """Remember a file that was read, and the digests of its pieces if there are several."""
        old = self.rows.get(path)
        self.rows[path] = row
        self._changed.add(path)
        if self._by_inode is not None:
            self._unlist(path, old)
            self._by_inode.setdefault(row.inode, set()).add(path)
        if row.size > CHUNK and pieces:
            packed = b"".join(pieces)
            self._pieces[path] = (row.content, packed)
            self._keep(row.content, packed)
        else:
            self._pieces.pop(path, None)

    def drop(self, path: bytes) -> None:
        """Forget a file."""
        old = self.rows.pop(path, None)
        if old is None:
            return
        self._changed.add(path)
        self._pieces.pop(path, None)
        if self._by_inode is not None:
            self._unlist(path, old)

    def _unlist(self, path: bytes, old: Row | None) -> None:
        if old is not None and self._by_inode is not None:
            paths = self._by_inode.get(old.inode, set())
            paths.discard(path)
            if not paths:
                self._by_inode.pop(old.inode, None)

    def same_inode(self, inode: int) -> set[bytes]:
        """The paths of a file that has several, or had another."""
        if self._by_inode is None:
            self._by_inode = {}
            for path, row in self.rows.items():
                self._by_inode.setdefault(row.inode, set()).add(path)
        return set(self._by_inode.get(inode, ()))

    def pieces(self, path: bytes, content: bytes) -> list[bytes] | None:
        """The digests of the pieces of a file longer than one, if they are known."""
        packed = self._recent.get(content)
        if packed is None and path in self._pieces:
            known, listed = self._pieces[path]
            packed = listed if known == content else None
        if packed is None and self._database is not None:
            found = self._database.execute(
                "select list from pieces where path = ? and content = ?", (path, content)
            ).fetchone()
            packed = found[0] if found else None
        if packed is None:
            return None
        self._keep(content, packed)
        return [packed[at : at + 32] for at in range(0, len(packed), 32)]

    def _keep(self, content: bytes, packed: bytes) -> None:
        self._recent[content] = packed
        self._recent.move_to_end(content)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def save(self, now_ns: int) -> None:
        """Write what has changed since the last time.

        Also rows that are not sure: what a file was tells whether a writer adds to it.
        """
        if not self._changed or self._database is None:
            return
        rows, gone = [], []
        # In the order of the table: each page of it is then touched once.
        for path in sorted(self._changed):
            row = self.rows.get(path)
            if row is None:
                gone.append((path,))
            else:
                rows.append((path, *row[:5], now_ns, int(row.trust)))
        pieces = [(path, *self._pieces[path]) for path in self._changed if path in self._pieces]
        self._write(rows, gone, pieces)
        self._changed.clear()
        for path, _, _ in pieces:
            if self.rows[path].trust is Trust.SURE:
                del self._pieces[path]

    def _write(
        self,
        rows: Iterable[tuple[object, ...]],
        gone: Iterable[tuple[bytes]],
        pieces: Iterable[tuple[bytes, bytes, bytes]],
    ) -> None:
        assert self._database is not None
        # A full disk costs the cache, never the work.
        with contextlib.suppress(sqlite3.OperationalError):
            self._database.execute("begin")
            try:
                self._database.executemany("delete from files where path = ?", gone)
                self._database.executemany("delete from pieces where path = ?", gone)
                self._database.executemany(
                    "insert or replace into files values (?, ?, ?, ?, ?, ?, ?, ?)", rows
                )
                self._database.executemany("insert or replace into pieces values (?, ?, ?)", pieces)
                self._database.execute("commit")
            except sqlite3.OperationalError:
                with contextlib.suppress(sqlite3.OperationalError):
                    self._database.execute("rollback")
                raise

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None
