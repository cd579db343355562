"""Somebody who works in a folder, and a ledger of what must still be there.

A *value* is what one write made ("Mysteries of Dropbox", Hughes, Pierce, Arts, Norell, 2016). It is
due until an operation that saw it replaces or removes it. To see and to remove is one step here, or
the test would blame what it tests: what is to go is moved away or swapped out, and read there.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay_kernel.files.exchange import Exchange
from tests.files.chaos.values import TornError, link, link_value, record, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOLDERS = [b"d1", b"d2", b"d2/sub", b"d3"]
PATHS = [b"a", b"b", b"c", b"e", b"d1/a", b"d1/b", b"d2/a", b"d2/sub/a", b"d2/sub/b"]
LOGS = [b"x.log", b"d1/y.log", b"d2/sub/z.log"]
SIZES = [20, 20, 20, 3000, 3000, 40_000, 90_000, 300_000, 1_200_000]
_HERE = -100  # AT_FDCWD


@dataclass
class Ledger:
    """What both of them did.

    Attributes:
        born: when each value was made, by a clock that all processes share.
        died: when it was seen and given up.
        touched: values that somebody moved, or changed the mode or the company of: what another
            gives up at the same time may then stay, with good reason.
        rewriting: files while somebody writes in place: device, inode, begin, end.
        wrong: what should never have been seen.
    """

    born: dict[str, float] = field(default_factory=dict)
    died: dict[str, float] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    rewriting: list[tuple[int, int, float, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    story: list[tuple[float, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def due(self) -> set[str]:
        """What must be there."""
        return self.born.keys() - self.died.keys()


class Person(threading.Thread):
    """One end's. Works until :meth:`stop`."""

    def __init__(self, name: str, root: Path, other: Path, ledger: Ledger, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.root = os.fsencode(root)
        self._other = os.fsencode(other)
        self.grave = os.path.join(os.path.dirname(self.root), b"grave")
        self._ledger = ledger
        self._random = random.Random(f"{seed} {name}")
        self._count = 0
        self._exchange = Exchange()
        self._over = threading.Event()
        self._acts: list[tuple[int, Callable[[], object]]] = [
            (30, self._replace),
            (25, self._rewrite),
            (14, self._append),
            (14, self._remove),
            (10, self._move),
            (3, self._move_folder),
            (3, self._remove_folder),
            (4, self._change_mode),
            (6, self._link),
            (3, self._change_kind),
        ]
        os.mkdir(self.grave)

    def stop(self) -> None:
        """Let it finish what it does."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Do one thing after the other."""
        weights = [weight for weight, _ in self._acts]
        while not self._over.is_set():
            ((_, act),) = self._random.choices(self._acts, weights)
            try:
                act()
                name = act.__name__.strip("_")
                self._ledger.done[name] = self._ledger.done.get(name, 0) + 1
            except OSError:
                # The other end was quicker: a folder is a file now, a file is gone.
                pass
            except Exception as error:
                self._ledger.wrong.append(f"{self.name}: {error!r}")
                raise
            self._over.wait(self._random.choice([0.0, 0.002, 0.01, 0.03, 0.06, 0.15]))

    # ------------------------------------------------------------------ what it does

    def _replace(self) -> None:
        """Write a draft and put it in the place of whatever is there."""
        value, draft = self._draft()
        path = self._place(self._random.choice(PATHS))
        self._put(draft, path)
        self._born(value, path)

    def _link(self) -> None:
        value, draft = self._new(), self._away()
        os.symlink(link(value), draft)
        path = self._place(self._random.choice(PATHS))
        self._put(draft, path)
        self._born(value, path)

    def _rewrite(self) -> None:
        """Open what both have, and write over it, slowly at times.

        Of what one alone has nobody knows yet that it is not a log which is just begun.
        """
        name = self._random.choice(PATHS)
        path = self._path(name)
        with open(path, "rb") as mine, open(os.path.join(self._other, name), "rb") as theirs:
            if mine.read() != theirs.read():
                return
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
        began = time.monotonic()
        fd = os.open(path, flags)
        try:
            found = os.fstat(fd)
            self._gave_up(self._values(os.pread(fd, 1 << 24, 0), path), path)
            value = self._new()
            data = record(value, self._random.choice(SIZES))
            if self._random.random() < 0.7:
                os.ftruncate(fd, 0)
            parts = self._random.choice([1, 2, 4])
            step = -(-len(data) // parts)
            for at in range(0, len(data), step):
                self._over.wait(self._random.choice([0.0, 0.0, 0.01, 0.1, 0.4]))
                os.pwrite(fd, data[at : at + step], at)
            os.ftruncate(fd, len(data))
        finally:
            os.close(fd)
            span = (found.st_dev, found.st_ino, began, time.monotonic())
            self._ledger.rewriting.append(span)
        self._born(value, path)

    def _append(self) -> None:
        """Add to a log, with what it held before still in it."""
        path = self._place(self._random.choice(LOGS))
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(path, flags, 0o644)
        try:
            before = self._values(os.pread(fd, 1 << 24, 0), path)
            self._touch(before)
            self._tell(f"adds to {before} in {os.fsdecode(os.path.relpath(path, self.root))}")
            for _ in range(self._random.choice([1, 1, 3, 6])):
                value = self._new()
                os.write(fd, record(value, self._random.choice([10, 100, 3000, 50_000])))
                self._born(value, path)
                self._over.wait(self._random.choice([0.0, 0.01, 0.1]))
        finally:
            os.close(fd)

    def _remove(self) -> None:
        self._bury(self._path(self._random.choice(PATHS + LOGS)))

    def _remove_folder(self) -> None:
        self._bury(self._path(self._random.choice(FOLDERS)))

    def _move(self) -> None:
        names = PATHS if self._random.random() < 0.8 else LOGS
        self._rename(*self._random.sample(names, 2))

    def _move_folder(self) -> None:
        self._rename(*self._random.sample(FOLDERS, 2))

    def _rename(self, old: bytes, new: bytes) -> None:
        source, path = self._path(old), self._path(new)
        self._touch(self._all(source))
        if os.path.lexists(source):
            with contextlib.suppress(FileNotFoundError):
                self._bury(path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._exchange.create(_HERE, source, _HERE, path)
            self._tell(f"moved {old.decode()} to {new.decode()} with {self._all(path)}")
            self._touch(self._all(path))

    def _change_mode(self) -> None:
        path = self._path(self._random.choice(PATHS + LOGS + FOLDERS))
        if os.path.islink(path):
            return
        self._touch(self._all(path))
        self._tell(f"changes the mode of {os.fsdecode(os.path.relpath(path, self.root))}")
        # Only root can look into a folder that its owner may not enter.
        modes = [0o755, 0o700, 0o750] if os.path.isdir(path) else [0o644, 0o600, 0o755, 0o700]
        os.chmod(path, self._random.choice(modes))
        self._touch(self._all(path))

    def _change_kind(self) -> None:
        """A folder where there was a file."""
        path = self._path(self._random.choice(PATHS))
        with contextlib.suppress(FileNotFoundError):
            self._bury(path)
        value, draft = self._draft()
        os.mkdir(path)
        path = os.path.join(path, b"in")
        self._put(draft, path)
        self._born(value, path)

    # ------------------------------------------------------------------ the steps of it

    def _new(self) -> str:
        self._count += 1
        return f"{self.name}-{self._count}"

    def _away(self) -> bytes:
        """A free name outside the folder, on the same disk."""
        self._count += 1
        return os.path.join(self.grave, b"%d" % self._count)

    def _path(self, name: bytes) -> bytes:
        return os.path.join(self.root, name)

    def _place(self, name: bytes) -> bytes:
        """The same, and the folders above it are there."""
        path = self._path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def _draft(self) -> tuple[str, bytes]:
        value, draft = self._new(), self._away()
        with open(draft, "wb") as file:
            file.write(record(value, self._random.choice(SIZES)))
        return value, draft

    def _put(self, draft: bytes, path: bytes) -> None:
        """Put a draft at a path in one step; what was there is seen and given up."""
        while True:
            try:
                self._exchange.create(_HERE, draft, _HERE, path)
                return
            except FileExistsError:
                pass
            with contextlib.suppress(FileNotFoundError):
                self._exchange.swap(_HERE, draft, _HERE, path)
                self._gave_up(self._all(draft, path), path)
                return

    def _bury(self, path: bytes) -> None:
        """Remove what is there, and see what it was."""
        away = self._away()
        self._exchange.create(_HERE, path, _HERE, away)
        self._gave_up(self._all(away, path), path)

    def _all(self, at: bytes, path: bytes = b"") -> list[str]:
        """The values of a file or a link, or of all below a folder, which was at ``path``."""
        found = []
        for each in _files(at):
            with contextlib.suppress(OSError):
                if os.path.islink(each):
                    found.append(link_value(os.readlink(each)))
                else:
                    with open(each, "rb") as file:
                        found += self._values(file.read(), (path or at) + each[len(at) :])
        return found

    def _values(self, data: bytes, path: bytes) -> list[str]:
        try:
            return values(data, grows=grows(path))
        except TornError as torn:
            self._ledger.wrong.append(f"{self.name} met {os.fsdecode(path)}: {torn}")
            return []

    def _tell(self, text: str) -> None:
        self._ledger.story.append((time.monotonic(), f"{self.name} {text}"))

    def _born(self, value: str, path: bytes) -> None:
        self._ledger.born[value] = time.monotonic()
        self._tell(f"made {value} at {os.fsdecode(os.path.relpath(path, self.root))}")

    def _gave_up(self, seen: list[str], path: bytes) -> None:
        now = time.monotonic()
        self._tell(f"removed {seen} from {os.fsdecode(os.path.relpath(path, self.root))}")
        with self._ledger.lock:
            for value in seen:
                self._ledger.died.setdefault(value, now)

    def _touch(self, seen: list[str]) -> None:
        with self._ledger.lock:
            self._ledger.touched.update(seen)

    def taken_away(self) -> set[str]:
        """What lies where it has put what it removed."""
        return set(self._all(self.grave, b"any.log"))


def grows(path: bytes) -> bool:
    """Whether a path is a log's."""
    return b".log" in path


def _files(path: bytes) -> Iterator[bytes]:
    if os.path.islink(path) or not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in os.walk(path):
        if b".relay" in folders:
            folders.remove(b".relay")
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        yield from (os.path.join(folder, name) for name in [*names, *links])
