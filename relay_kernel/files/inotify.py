"""The watch of Linux: one inotify watch a folder, none for what is ignored."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time

from inotify_simple import INotify, flags

from relay_kernel.files.pending import CLOSED, QUIET
from relay_kernel.files.rules import IGNORE_FILE, OWN
from relay_kernel.files.watch import Watch

#: Seconds that events are let gather, so that a busy writer wakes nobody a thousand times.
_GATHER = 0.003

_MOVED = int(flags.MOVED_FROM | flags.MOVED_TO)
_CHANGED = int(flags.MODIFY | flags.ATTRIB | flags.CLOSE_WRITE | flags.CREATE | flags.DELETE)
_MASK = int(_MOVED | _CHANGED | flags.DELETE_SELF | flags.MOVE_SELF)
_MASK |= int(flags.ONLYDIR | flags.EXCL_UNLINK)
#: After these nobody is in the middle of writing.
_ENDED = int(_MOVED | flags.CLOSE_WRITE | flags.ISDIR)
_SELF = int(flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT)
_MODIFY, _GONE, _OVERFLOW = int(flags.MODIFY), int(flags.IGNORED), int(flags.Q_OVERFLOW)
_ISDIR = int(flags.ISDIR)


class InotifyWatch(Watch):
    """Hears everything on this machine's own disks, at no cost while nothing happens."""

    def __init__(self, *, polls: bool = False) -> None:
        """Args: ``polls``: look now and then too, since others may write there unheard.

        Raises:
            OSError: this user has too many watchers already.
        """
        self._inotify = INotify(nonblocking=True)
        super().__init__()
        self.polls = self._always_polls = polls
        self._paths: dict[int, bytes] = {}
        self._watches: dict[bytes, int] = {}
        self.deaf = self._missed = False
        self._hearing = threading.Lock()
        self._poll = select.poll()
        self._poll.register(self._inotify.fileno(), select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

    def add(self, path: bytes, fd: int) -> bool:
        """Watch a folder; where no watch is left, say so and poll."""
        try:
            watch = self._inotify.add_watch(f"/proc/self/fd/{fd}", _MASK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._miss()
            return True
        if self._watches.get(path) == watch and self._paths.get(watch) == path:
            return False
        before = self._paths.get(watch)
        if before is not None and self._watches.get(before) == watch:
            del self._watches[before]
        self._paths[watch] = path
        self._watches[path] = watch
        return True

    def _miss(self) -> None:
        self._missed = self.polls = self.deaf = True
        self.notice = (
            "no more folders can be watched on this machine: the rest is looked through now and "
            "then; raise fs.inotify.max_user_watches"
        )

    def drop(self, path: bytes) -> None:
        """Watch a folder no longer."""
        watch = self._watches.pop(path, None)
        if watch is not None and self._paths.get(watch) == path:
            del self._paths[watch]
            with contextlib.suppress(OSError):
                self._inotify.rm_watch(watch)

    def looking(self) -> None:
        """A full look begins."""
        self._missed = False

    def looked(self, seconds: float) -> None:
        """A full look has ended; it tells whether every folder is watched now."""
        if not self._missed:
            self.notice, self.polls, self.deaf = "", self._always_polls, False
        super().looked(seconds)

    def drain(self) -> None:
        """Take in all events so far. The kernel queues an event before the change returns."""
        with self._hearing:
            events = self._inotify.read(timeout=0)
            if not events:
                return
            now = time.monotonic()
            for watch, mask, _, name in events:
                self._hear(watch, mask, name, now)

    def _hear(self, watch: int, mask: int, name: str, now: float) -> None:
        if mask & _OVERFLOW:
            self.pending.mark_all(now)
            return
        folder = self._paths.get(watch)
        if folder is None:
            return
        if mask & (_SELF | _GONE) or not name:
            self._hear_of_itself(watch, folder, mask, now)
            return
        path = os.fsencode(name)
        if folder:
            path = folder + b"/" + path
        elif path == OWN:
            return
        elif path == IGNORE_FILE:
            self.pending.mark_all(now + QUIET)
        self._mark(path, mask, now)

    def _mark(self, path: bytes, mask: int, now: float) -> None:
        if mask & _MODIFY and path in self.closing_only:
            return
        if not self.ignored(path, bool(mask & _ISDIR)):
            self.pending.mark(path, now, CLOSED if mask & _ENDED else QUIET)

    def _hear_of_itself(self, watch: int, folder: bytes, mask: int, now: float) -> None:
        """A watched folder was removed, moved or unmounted; its parent tells, the root has none."""
        if not folder and mask & (_SELF | _GONE):
            self.pending.mark_all(now)
        if mask & _GONE:
            del self._paths[watch]
            if self._watches.get(folder) == watch:
                del self._watches[folder]

    def _sleep(self, seconds: float | None) -> None:
        heard = self._poll.poll(None if seconds is None else seconds * 1000 + 1)
        self._swallow()
        if any(fd == self._inotify.fileno() for fd, _ in heard) and not self._closed:
            time.sleep(_GATHER)
            self.drain()

    def close(self) -> None:
        """End the thread, and all watches."""
        super().close()
        self._inotify.close()
