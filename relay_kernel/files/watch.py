"""Hears what happens in a folder, and says when it is time to look."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from typing import TYPE_CHECKING

from relay_kernel.files.pending import Pending

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

#: Seconds after a failure, so that one that lasts takes no CPU.
_PAUSE = 0.1
#: Seconds between full looks where not everything can be heard; and how many times as long as a
#: look takes it is at least.
POLL, SPARING = 10.0, 20.0
#: Seconds until the next look at a file that was held; each time longer, up to the last.
AGAIN = (0.1, 0.5, 2.0, 10.0, 60.0)


class Watch:
    """Looks at everything now and then: what is left where nothing can be heard.

    Better watches build on it. All but :meth:`start` and :meth:`close` may be called by any thread.

    Attributes:
        pending: what is to be looked at.
        notice: one line for the person when not everything is heard; else empty.
        ignored: asked with a path and whether it is a folder, from the watch's thread.
        closing_only: paths of which only the closing matters: held files.
        polls: whether everything is looked at now and then.
        deaf: whether things may happen unheard; then "now" means to look at everything.
    """

    def __init__(self, notice: str = "") -> None:
        self.pending = Pending()
        self.notice = notice
        self.ignored: Callable[[bytes, bool], bool] = lambda _path, _folder: False
        self.closing_only: set[bytes] = set()
        self.polls = self.deaf = True
        self._on_dirty: Callable[[], None] = lambda: None
        self._closed = False
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def start(self, on_dirty: Callable[[], None]) -> None:
        """Begin; ``on_dirty`` is called from the watch's thread when something is due."""
        self._on_dirty = on_dirty
        self._thread = threading.Thread(target=self._run, name="folder-watch", daemon=True)
        self._thread.start()

    def add(self, path: bytes, fd: int) -> bool:
        """Watch the open folder ``fd``, known as ``path``; say whether it is new there.

        Call it before the folder is listed.
        """
        return True

    def drop(self, path: bytes) -> None:
        """Watch a folder no longer."""

    def drain(self) -> None:
        """Take in what has happened so far."""

    def looking(self) -> None:
        """A full look begins: every folder is going to be added."""

    def looked(self, seconds: float) -> None:
        """A full look has ended, and took so long."""
        if self.polls:
            self.pending.mark_all(time.monotonic() + max(POLL, SPARING * seconds))
            self.wake()

    def take(self, *, now: bool) -> tuple[list[bytes], bool]:
        """The paths that are due, and whether all is; with ``now``, all that has happened."""
        if now:
            self.drain()
            if self.deaf:
                self.pending.mark_all(time.monotonic())
        moment = time.monotonic()
        found = self.pending.take(moment, every=now)
        if self.pending.due_in(moment) is not None:
            self.wake()
        return found

    def again(self, path: bytes, times: int) -> float:
        """Look at ``path`` once more, later: it was held ``times`` times. Return when."""
        delay = AGAIN[min(times, len(AGAIN) - 1)]
        self.look_at(path, delay)
        return time.monotonic() + delay

    def look_at(self, path: bytes, delay: float) -> None:
        """Look at ``path`` in so many seconds at the latest."""
        self.pending.mark_at(path, time.monotonic() + delay)
        self.wake()

    def wake(self) -> None:
        """Make the thread look at the clock."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while not self._closed:
            try:
                self._turn()
            except Exception:
                # Deaf is bad, and deaf without a word is worse.
                log.exception("the watch of a folder failed; everything is looked through")
                self.deaf = True
                self.pending.mark_all(time.monotonic() + POLL)
                time.sleep(_PAUSE)

    def _turn(self) -> None:
        if self.pending.ring(time.monotonic()):
            self._on_dirty()
        self._sleep(self.pending.due_in(time.monotonic()))

    def _sleep(self, seconds: float | None) -> None:
        """Until something happens, or for so long."""
        select.select([self._wake_read], [], [], seconds)
        self._swallow()

    def _swallow(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self.wake()
        if self._thread is not None:
            self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)
