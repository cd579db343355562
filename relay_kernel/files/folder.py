"""One end of a folder that is kept equal on two machines."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from relay_kernel.files.commit import commit
from relay_kernel.files.errors import FolderError
from relay_kernel.files.exchange import Exchange
from relay_kernel.files.index import COARSE_GRANULE, GRANULE, Index
from relay_kernel.files.late import LATE, Late
from relay_kernel.files.parts import Folds, Parts
from relay_kernel.files.picture import Picture
from relay_kernel.files.present import Present
from relay_kernel.files.root import Parents, Root, show
from relay_kernel.files.rules import IGNORE_FILE, Matcher, Rules
from relay_kernel.files.scan import Scanner
from relay_kernel.files.serve import Server, Source
from relay_kernel.files.stage import Stage, Staging
from relay_kernel.files.take import WRITING, Taker
from relay_kernel.files.trash import Trash
from relay_kernel.files.watching import watch_for
from relay_kernel.files.writing import leases_work

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from relay_kernel.core.reconcile import Change
    from relay_kernel.core.tree import Entry, Kind
    from relay_kernel.files.step import Brought

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Seconds after which a person is told of a file that is held.
LONG_HELD = 60.0
#: Seconds between two times that the trash is bounded.
_TIDY = 3600.0


class Folder:
    """A folder that is looked at, served, and changed in safe steps.

    Synchronous: its owner calls it from worker threads, one call at a time. Only the watch has a
    thread of its own, which does nothing while nothing happens.
    """

    def __init__(self, root: Path, state: Path, rules: Rules) -> None:
        """A folder that is not open yet.

        Args:
            root: The folder. What is displaced and what arrives lies in its ``.relay``.
            state: A private folder for what is remembered of it; made if it is not there.
            rules: What of it is kept equal.
        """
        self.path = root
        self.rules = rules
        self._state = state
        self._root = Root(root)
        self._matcher = Matcher(rules)
        self._parts: Parts | None = None
        self._scanner: Scanner | None = None
        self._serving: Server | None = None
        self._tidied = 0.0
        self.on_part: Callable[[dict[bytes, Entry | None]], None] | None = None
        """Called in a long look with what has changed so far; the look then returns the rest."""

    # -- life

    def open(self, on_dirty: Callable[[], None] = lambda: None, *, adopt: bool = False) -> None:
        """Check that it is the folder that it was, start to watch it, clear what was left half.

        Args:
            on_dirty: Called from the watch's thread when :attr:`dirty` is set.
            adopt: Take it although it is not the folder that it was: a person said so.

        Raises:
            FolderError: it cannot be used.
        """
        try:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"{self._state} cannot be made: {error.strerror}") from error
        self._root.open(self._state, adopt=adopt)
        try:
            self._open(on_dirty)
        except OSError as error:
            self.close()
            raise FolderError(f"{self.path} cannot be used: {error.strerror}") from error
        except sqlite3.Error as error:
            self.close()
            raise FolderError(f"{self._state} cannot be written: {error}") from error

    def _open(self, on_dirty: Callable[[], None]) -> None:
        root = self._root
        index = Index(self._state / "index.sqlite")
        exchange = Exchange.probe(root.stage)
        taker = Taker(leases=leases_work(root.stage, b"probe"), granule=_granule(root.stage))
        watch = watch_for(self.path)
        trash = Trash(root, exchange, self.rules)
        self._parts = parts = Parts(
            root=root,
            index=index,
            watch=watch,
            taker=taker,
            picture=Picture(),
            exchange=exchange,
            folds=Folds.probe(root.stage),
            present=Present(index, taker),
            trash=trash,
            stage=Stage(root, trash),
            late=Late(root, exchange, watch),
        )
        index.open()
        parts.stage.clear(time.time())
        self._load_rules()
        tree = parts.picture.tree
        watch.ignored = lambda path, folder: (
            path not in tree and self._matcher.ignores(path, folder=folder)
        )
        self._scanner = Scanner(parts, self._matcher, self._tell_part)
        self._serving = Server(parts)
        watch.start(on_dirty)

    def close(self) -> None:
        """Let go of everything; the folder is as it is."""
        if self._parts is not None:
            self._parts.watch.close()
            self._parts.index.close()
            self._parts = None
        self._root.close()

    @property
    def _open_parts(self) -> Parts:
        if self._parts is None:
            raise FolderError(f"{self.path} is not open")
        return self._parts

    @property
    def _server(self) -> Server:
        if self._parts is None or self._serving is None:
            raise FolderError(f"{self.path} is not open")
        return self._serving

    def _load_rules(self) -> None:
        text = b""
        with contextlib.suppress(OSError):
            fd = os.open(IGNORE_FILE, _READ, dir_fd=self._root.fd)
            with os.fdopen(fd, "rb") as file:
                text = file.read(1 << 20)
        if text != self._rules_text:
            self._rules_text = text
            self._matcher = Matcher(self.rules, text)
            if self._scanner is not None:
                self._scanner.matcher = self._matcher

    _rules_text = b""

    # -- what is known

    @property
    def tree(self) -> dict[bytes, Entry]:
        """The last picture, by path. A path that is held keeps what it was."""
        return self._open_parts.picture.tree

    @property
    def held(self) -> dict[bytes, str]:
        """Path -> why it is not taken now."""
        return self._open_parts.picture.held

    @property
    def skipped(self) -> dict[bytes, str]:
        """Path -> why it is never taken, or cannot exist here."""
        parts = self._open_parts
        impossible = {path: parts.why_impossible(path) for path in list(parts.impossible)}
        if not impossible:
            return parts.picture.skipped
        return parts.picture.skipped | {path: why for path, why in impossible.items() if why}

    @property
    def held_since(self) -> dict[bytes, float]:
        """Path -> since when it is held; seconds since the epoch."""
        assert self._scanner is not None
        return self._scanner.held_since

    @property
    def late(self) -> dict[bytes, bytes]:
        """Path -> where a version is that was written to after it had been displaced."""
        return self._open_parts.late.back

    @property
    def trash(self) -> Trash:
        """What was displaced."""
        return self._open_parts.trash

    @property
    def dirty(self) -> threading.Event:
        """Set when :meth:`settle` has something to look at."""
        return self._open_parts.watch.pending.event

    @property
    def identity(self) -> str:
        """What names this folder on this machine, for ever."""
        return self._root.identity

    @property
    def rebooted(self) -> bool:
        """Whether the machine was started anew since the folder was last open."""
        return self._open_parts.index.rebooted

    @property
    def notices(self) -> list[str]:
        """What a person should know of this folder; one line each."""
        parts = self._open_parts
        lines = [parts.watch.notice] if parts.watch.notice else []
        lines += [f"{self.path}: {line!r} is no pattern; not used" for line in self._matcher.wrong]
        for path, since in self.held_since.items():
            if time.time() - since > LONG_HELD:
                lines.append(
                    f"{show(path)} {self.held.get(path, WRITING)} since "
                    f"{time.strftime('%H:%M', time.localtime(since))}; it follows when it is closed"
                )
        return lines

    def excluded(self, path: bytes, kind: Kind | None = None) -> str:
        """Why ``path`` is not to be decided on here, or nothing.

        A path that is missing from the tree was deleted only if this says nothing.

        Args:
            path: A path that is in the tree, or is not.
            kind: What it is elsewhere; some rules are for folders only. None: any.
        """
        parts = self._open_parts
        if path in parts.picture.tree:
            return ""
        if self._matcher.hides(path, kind):
            return "is ignored"
        at = len(path)
        while at > 0:
            reason = parts.picture.skipped.get(path[:at]) or parts.why_impossible(path[:at])
            if reason:
                return reason
            at = path.rfind(b"/", 0, at)
        return ""

    # -- looking

    def scan(self) -> dict[bytes, Entry | None]:
        """Look at everything; return what has changed against :attr:`tree`.

        Raises:
            FolderError: it is not the folder that it was.
        """
        parts, scanner = self._open_parts, self._scanner
        assert scanner is not None
        self._root.check()
        self._load_rules()
        parts.watch.drain()
        parts.watch.pending.take(time.monotonic(), every=True)
        parts.late.look()
        parts.fresh.clear()
        scanner.all()
        return self._looked()

    def settle(self, *, now: bool = False) -> dict[bytes, Entry | None]:
        """Look at what the watch has heard of; return what has changed against :attr:`tree`.

        Args:
            now: Everything that happened before this call, however lately. Otherwise what is being
                worked on may wait for a moment.

        Raises:
            FolderError: it is not the folder that it was.
        """
        parts, scanner = self._open_parts, self._scanner
        assert scanner is not None
        self._root.check()
        paths, full = parts.watch.take(now=now)
        if full:
            return self.scan()
        if not paths:
            return {}
        parts.fresh.clear()
        if LATE in paths:
            paths.remove(LATE)
            parts.late.look()
        with Parents(self._root.fd) as parents:
            scanner.some(paths, parents)
        return self._looked()

    def _tell_part(self) -> None:
        if self.on_part is not None:
            changed = self._open_parts.picture.take()
            self._server.changed()
            self.on_part(changed)

    def _looked(self) -> dict[bytes, Entry | None]:
        parts = self._open_parts
        parts.late.arm()
        parts.index.save(time.time_ns())
        changed = parts.picture.take()
        if changed:
            self._server.changed()
        return changed

    # -- serving

    def pieces(self, path: bytes, entry: Entry) -> list[bytes]:
        """The digests of the pieces of a file; of a small one, its own.

        Raises:
            ChangedError: it is not ``entry`` any more.
        """
        return self._server.pieces(path, entry)

    def read(self, path: bytes, entry: Entry, numbers: Iterable[int]) -> Iterator[bytes]:
        """Pieces of a file, by number, verified.

        Raises:
            ChangedError: it is not ``entry`` any more.
        """
        return self._server.read(path, entry, numbers)

    def contents(self, wanted: Iterable[tuple[bytes, Entry] | None]) -> list[bytes | str | None]:
        """All of each file, which is one piece, verified; a text: why it is ``entry`` no more."""
        return self._server.contents(wanted)

    def flush(self, paths: Iterable[bytes]) -> None:
        """Make durable what is at ``paths`` now, with the folders that lead there.

        Raises:
            OSError: the disk lost something.
        """
        self._server.flush(list(paths))

    def find(self, entry: Entry) -> Source | None:
        """Where the content of a file is here already: at any path, or in the trash."""
        return self._server.find(entry)

    # -- changing

    def stage(self, entry: Entry, like: bytes | None = None) -> Staging:
        """Begin to receive a file.

        Args:
            entry: What it will be.
            like: A path here whose file may have pieces of it; its present version, mostly.

        Raises:
            NoSpaceError: it does not fit.
        """
        self._root.check()
        return self._open_parts.stage.begin(entry, lambda: self._server.supplies(entry, like))

    def commit(self, changes: Sequence[tuple[Change, Brought]]) -> list[str]:
        """Make changes, in order, each only if what is there is still what it replaces.

        Each comes with what it brings: a finished :class:`Staging`, or the whole content of a file
        of one piece, or None. What was made is durable when this returns.

        Returns:
            Why each was not made; nothing if it was.

        Raises:
            FolderError: it is not the folder that it was; nothing was done.
            NoSpaceError: the contents do not fit; nothing was done.
            OSError: the disk lost something; look at everything again.
        """
        parts = self._open_parts
        self._root.check()
        reasons = commit(parts, self._matcher, changes)
        self._server.changed()
        parts.late.arm()
        parts.index.save(time.time_ns())
        if time.monotonic() - self._tidied > _TIDY:
            self._tidied = time.monotonic()
            parts.trash.bound(time.time())
        return reasons


def _granule(folder: int) -> int:
    """How coarse the times of a filesystem are, in nanoseconds."""
    name = b"probe-times"
    fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        os.utime(fd, ns=(10**18 + 123_456_789, 10**18 + 123_456_789))
        exact = os.fstat(fd).st_mtime_ns % 10**9 == 123_456_789
    finally:
        os.close(fd)
        os.unlink(name, dir_fd=folder)
    return GRANULE if exact else COARSE_GRANULE
