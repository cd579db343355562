"""Drives one folder from the event loop: one call at a time, in a thread of its own.

All that concerns the folder here goes through it, for however many pairs. What it shows of the
folder is a copy that changes on the loop only, so that a decision may be made on it at leisure.
"""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from relay_kernel.core.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from relay_kernel.core.plan import Change
    from relay_kernel.core.tree import Entry
    from relay_kernel.files.folder import Folder
    from relay_kernel.files.step import Brought

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between attempts at a folder that cannot be looked at.
AGAIN = 2.0


@dataclass
class News:
    """What is new in a folder."""

    changes: dict[bytes, Entry | None] = field(default_factory=dict)
    released: set[bytes] = field(default_factory=set)
    """Paths that were held or skipped, and are no more."""
    ours: object = None
    """Who asked for these changes, if anybody did; nobody: programs made them."""


class Driver:
    """One folder.

    Attributes:
        tree: what is in it, as of the last look.
        held: path -> why it is not taken now.
        skipped: path -> why it never is.
        trouble: why the folder cannot be worked on; empty: it can.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.tree: dict[bytes, Entry] = {}
        self.held: dict[bytes, str] = {}
        self.skipped: dict[bytes, str] = {}
        self.trouble = ""
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="folder")
        self._dirty = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._readers: list[Callable[[News], None]] = []
        self._watching: asyncio.Task[None] | None = None
        folder.on_part = self._hear_part
        self._going_on: set[asyncio.Future[Any]] = set()

    def listen(self, reader: Callable[[News], None]) -> None:
        """From now on ``reader`` is called on the loop with what is new."""
        self._readers.append(reader)

    def forget(self, reader: Callable[[News], None]) -> None:
        """The reader wants no more."""
        if reader in self._readers:
            self._readers.remove(reader)

    async def work(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run a call in the folder's thread, after those that were asked for before."""
        return await self._loop.run_in_executor(self._threads, call, *arguments)

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Let ``work`` come to its end also if the caller is cancelled.

        Else the folder's thread would do something that is never heard of here.
        """
        task = asyncio.ensure_future(work)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        return await asyncio.shield(task)

    # ------------------------------------------------------------------ its life

    @property
    def free(self) -> int | None:
        """Bytes that are free for it; None where the system does not say."""
        try:
            found = os.statvfs(self.folder.path)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    async def open(self, *, adopt: bool = False) -> None:
        """Look at all of it, and go on watching.

        Args:
            adopt: take it although it is not the folder that it was: a person said so.

        Raises:
            FolderError: it cannot be worked on; one line says why.
        """
        await self.work(lambda: self.folder.open(self._rings, adopt=adopt))
        await self.scan()
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """End; what runs is let finish."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await asyncio.gather(*self._going_on, return_exceptions=True)
        await self.work(self.folder.close)
        self._threads.shutdown(wait=False)

    def _rings(self) -> None:
        """Called from the watch's thread."""
        self._loop.call_soon_threadsafe(self._dirty.set)

    async def _watch(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.settle()
            except (RelayError, OSError) as error:
                self._fail(str(error))
                await asyncio.sleep(AGAIN)
                self._dirty.set()

    def _fail(self, why: str) -> None:
        if why != self.trouble:
            log.warning("%s", why)
        self.trouble = why
        self._publish(News())

    # ------------------------------------------------------------------ looking

    async def scan(self) -> None:
        """Look at everything.

        Raises:
            RelayError, OSError: it cannot be looked at.
        """
        await self._look(self.folder.scan)

    async def settle(self, *, now: bool = False) -> None:
        """Look at what something happened to; with ``now``, also to what did a moment ago."""
        await self._look(lambda: self.folder.settle(now=now))

    async def _look(self, look: Callable[[], dict[bytes, Entry | None]]) -> None:
        await self._whole(self._look_whole(look))

    async def _look_whole(self, look: Callable[[], dict[bytes, Entry | None]]) -> None:
        changes, held, skipped = await self.work(self._looked, look)
        left = (self.held.keys() | self.skipped.keys()) - held.keys() - skipped.keys()
        news = News(changes, left)
        changed = changes or left or self.trouble or (held, skipped) != (self.held, self.skipped)
        self.held, self.skipped, self.trouble = held, skipped, ""
        if changed:
            self._follow(changes)
            self._publish(news)

    def _hear_part(self, changes: dict[bytes, Entry | None]) -> None:
        """Called from the folder's thread."""
        self._loop.call_soon_threadsafe(self._see_part, changes)

    def _see_part(self, changes: dict[bytes, Entry | None]) -> None:
        """Much has changed: what is known of it is worked on while the look goes on."""
        self._follow(changes)
        self._publish(News(changes))

    def _looked(
        self, look: Callable[[], dict[bytes, Entry | None]]
    ) -> tuple[dict[bytes, Entry | None], dict[bytes, str], dict[bytes, str]]:
        changes = look()
        return changes, dict(self.folder.held), dict(self.folder.skipped)

    def _follow(self, changes: dict[bytes, Entry | None]) -> None:
        for path, entry in changes.items():
            if entry is None:
                self.tree.pop(path, None)
            else:
                self.tree[path] = entry

    def _publish(self, news: News) -> None:
        for reader in [*self._readers]:
            reader(news)

    # ------------------------------------------------------------------ content

    async def read(self, path: bytes, entry: Entry, numbers: Sequence[int]) -> list[bytes]:
        """Some pieces of a file.

        Raises:
            ChangedError: it is no longer ``entry``.
        """
        return await self.work(lambda: list(self.folder.read(path, entry, numbers)))

    async def flush(self, paths: Iterable[bytes]) -> None:
        """What programs wrote there is durable afterwards."""
        await asyncio.to_thread(self.folder.flush, list(paths))

    async def commit(
        self, changes: Sequence[tuple[Change, Brought]], by: object = None
    ) -> list[str]:
        """Make changes; see :meth:`relay_kernel.files.folder.Folder.commit`.

        Args:
            changes: in an order that works.
            by: who wants them; the others hear of them.
        """
        return await self._whole(self._commit(changes, by))

    async def _commit(self, changes: Sequence[tuple[Change, Brought]], by: object) -> list[str]:
        results = await self.work(self.folder.commit, changes)
        self._note([change for change, _ in changes], results, by)
        return results

    def _note(self, changes: Sequence[Change], results: Sequence[str], by: object) -> None:
        made = {
            change.path: change.new for change, why in zip(changes, results, strict=True) if not why
        }
        self._follow(made)
        if made:
            self._publish(News(made, ours=by))
