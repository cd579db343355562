"""Tells when something changes in folders: by inotify, or where there is none by looking."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

#: Seconds between looks where nothing tells.
LOOK = 2.0


class Watch:
    """Some folders, without those in them.

    Args:
        changed: called on the loop with the folders in which something was made, removed, renamed
            or written. May be called too often.
    """

    def __init__(self, changed: Callable[[Collection[str]], None]) -> None:
        self._changed = changed
        self._watches: dict[str, int] = {}
        # Where several names lead to one folder, they have one watch.
        self._names: dict[int, set[str]] = {}
        self._stamps: dict[str, int | None] = {}
        self._polling: asyncio.Task[None] | None = None
        self._inotify = None
        if sys.platform == "linux":
            from inotify_simple import INotify

            with contextlib.suppress(OSError):
                self._inotify = INotify()
                asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._read)
        if self._inotify is None:
            self._polling = asyncio.create_task(self._poll())

    def follow(self, folders: Iterable[str]) -> None:
        """Watch these folders, and no others."""
        wanted = set(folders)
        for folder in self._watches.keys() - wanted:
            self._forget(folder)
        for folder in sorted(wanted - self._watches.keys()):
            self._add(folder)
        self._stamps = {folder: self._stamps.get(folder, _stamp(folder)) for folder in wanted}

    def _add(self, folder: str) -> None:
        if self._inotify is None:
            return
        from inotify_simple import flags

        mask = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.CLOSE_WRITE
        # One that is not there, or where the system allows no more, is looked at when asked for.
        with contextlib.suppress(OSError):
            number = self._inotify.add_watch(folder, mask | flags.ONLYDIR)
            self._watches[folder] = number
            self._names.setdefault(number, set()).add(folder)

    def _forget(self, folder: str) -> None:
        number = self._watches.pop(folder)
        names = self._names[number]
        names.discard(folder)
        if not names:
            del self._names[number]
            if self._inotify is not None:
                with contextlib.suppress(OSError):
                    self._inotify.rm_watch(number)

    def _read(self) -> None:
        from inotify_simple import flags

        assert self._inotify is not None
        touched: set[str] = set()
        for event in self._inotify.read(timeout=0):
            names = self._names.get(event.wd, set())
            touched |= names
            if names and event.mask & flags.IGNORED:
                for folder in self._names.pop(event.wd):
                    del self._watches[folder]
        if touched:
            self._changed(touched)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            now = {folder: _stamp(folder) for folder in self._stamps}
            touched = {folder for folder in now if now[folder] != self._stamps[folder]}
            self._stamps = now
            if touched:
                self._changed(touched)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._polling is not None:
            self._polling.cancel()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._inotify.close()


def _stamp(folder: str) -> int | None:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return None
