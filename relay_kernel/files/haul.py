"""Brings changes from one end of a pair to the other: small ones in batches, large ones alone.

Both directions do the same, and differ only in which end is here. A change is made at its end only
after what it was made from is durable at the other: whatever a power cut undoes there is then not
taken for an edit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from relay_kernel.core.errors import RelayError
from relay_kernel.files.digest import CHUNK
from relay_kernel.files.packing import (
    pack_changes,
    pack_entry,
    pack_paths,
    pack_pieces,
    pack_values,
    unpack_pieces,
    unpack_values,
)
from relay_kernel.files.root import show
from relay_kernel.wire.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay_kernel.core.tree import Entry
    from relay_kernel.files.backlog import Job
    from relay_kernel.files.driver import Driver
    from relay_kernel.files.folder import Folder
    from relay_kernel.files.line import Line
    from relay_kernel.files.progress import Progress

#: What a folder says of a path that its rules ignore.
IGNORED = "is ignored"

#: Content of a small file, or why it could not be read.
Content = bytes | str | None


class Haul(Protocol):
    """One direction."""

    async def prepare(self, batch: Sequence[Job]) -> list[Content]:
        """Read what a batch brings, and make its source durable."""
        ...

    async def commit(self, batch: Sequence[Job], contents: Sequence[Content]) -> list[str]:
        """Make the changes of a prepared batch; say for each why not, or nothing."""
        ...

    async def bring(self, job: Job, progress: Progress) -> None:
        """Bring over a file that travels alone, and make its source durable.

        Raises:
            RelayError, OSError: it cannot be.
        """
        ...

    async def drop(self, job: Job) -> None:
        """What was brought over is not needed any more."""
        ...

    async def flush(self, paths: Sequence[bytes]) -> None:
        """What the source has there is durable afterwards."""
        ...


class Push:
    """From the server to the target.

    Args:
        folder: its name on the line.
        driver: the server's end.
        line: to the target's.
    """

    def __init__(self, folder: str, driver: Driver, line: Line) -> None:
        self._head = {"folder": folder}
        self._driver = driver
        self._line = line

    async def prepare(self, batch: Sequence[Job]) -> list[Content]:
        """See :class:`Haul`."""
        wanted = [(j.origin, new_of(j)) if _inline(j) else None for j in batch]
        contents, _ = await asyncio.gather(
            asyncio.to_thread(self._driver.folder.contents, wanted),
            self._driver.flush(sources(batch)),
        )
        return contents

    async def commit(self, batch: Sequence[Job], contents: Sequence[Content]) -> list[str]:
        """See :class:`Haul`."""
        brought = [job.staged if job.brought else content for job, content in zip_(batch, contents)]
        parts = (pack_changes(job.change for job in batch), pack_values(brought))
        answer = await self._line.ask("commit", self._head, parts)
        results = [str(why) for why in unpack_values(answer.parts[0])]
        if len(results) != len(batch):
            raise ProtocolError(f"{len(results)} results came for {len(batch)} changes")
        return results

    async def bring(self, job: Job, progress: Progress) -> None:
        """See :class:`Haul`."""
        number, entry = self._line.number(), new_of(job)
        head = {**self._head, "t": number}
        if job.own:
            await self._line.ask("take", head, (pack_entry(entry), pack_paths([job.origin])))
        else:
            flush = asyncio.ensure_future(self.flush([job.origin]))
            try:
                await self._send(number, job, entry, progress)
                await flush
            finally:
                flush.cancel()
        job.staged, job.brought = number, True

    async def _send(self, number: int, job: Job, entry: Entry, progress: Progress) -> None:
        pieces = await self._driver.work(self._driver.folder.pieces, job.origin, entry)
        offer = self._line.outgoing.offer(number, self._driver, job.origin, entry)
        progress.follow(lambda: (offer.sent, offer.total, CHUNK))
        try:
            parts = (pack_entry(entry), pack_paths([job.path]), pack_pieces(pieces))
            await self._line.ask("receive", {**self._head, "t": number}, parts)
        finally:
            self._line.outgoing.withdraw(number)

    async def drop(self, job: Job) -> None:
        """See :class:`Haul`."""
        if job.brought:
            self._line.tell("discard", {**self._head, "t": job.staged})

    async def flush(self, paths: Sequence[bytes]) -> None:
        """See :class:`Haul`."""
        await self._driver.flush(paths)


class Pull:
    """From the target to the server.

    Args:
        folder: its name on the line.
        driver: the server's end.
        line: to the target's.
        by: for whom the changes are made here.
    """

    def __init__(self, folder: str, driver: Driver, line: Line, by: object) -> None:
        self._head = {"folder": folder}
        self._driver = driver
        self._line = line
        self._by = by

    async def prepare(self, batch: Sequence[Job]) -> list[Content]:
        """See :class:`Haul`."""
        inline = [job for job in batch if _inline(job)]
        parts = (
            pack_paths(job.origin for job in inline),
            pack_values([pack_entry(new_of(job)) for job in inline]),
            pack_paths(sources(batch)),
        )
        answer = await self._line.ask("fetch", self._head, parts)
        contents = unpack_values(answer.parts[0])
        if len(contents) != len(inline):
            raise ProtocolError(f"{len(contents)} contents came for {len(inline)} files")
        came = iter(contents)
        return [next(came) if _inline(job) else None for job in batch]

    async def commit(self, batch: Sequence[Job], contents: Sequence[Content]) -> list[str]:
        """See :class:`Haul`."""
        return await commit_all(
            self._driver,
            [(job.change, job.staged if job.brought else c) for job, c in zip_(batch, contents)],
            self._by,
        )

    async def bring(self, job: Job, progress: Progress) -> None:
        """See :class:`Haul`."""
        number, entry = self._line.number(), new_of(job)
        head = {**self._head, "t": number}
        parts = (pack_entry(entry), pack_paths([job.origin]))
        answer = await self._line.ask("offer", head, parts)
        pieces = unpack_pieces(answer.parts[0], entry)
        flush = asyncio.ensure_future(self.flush([job.origin]))
        try:
            job.staged = await receive(
                self._driver, self._line, number, job.path, entry, pieces, progress
            )
            await flush
        except BaseException:
            if job.staged is not None:
                await self._driver.work(job.staged.leave)
            raise
        finally:
            flush.cancel()
        job.brought = True

    async def drop(self, job: Job) -> None:
        """See :class:`Haul`."""
        if job.brought:
            await self._driver.work(job.staged.drop)

    async def flush(self, paths: Sequence[bytes]) -> None:
        """See :class:`Haul`."""
        await self._line.ask("flush", self._head, (pack_paths(paths),))


# ---------------------------------------------------------------------- what both ends do


def zip_(batch: Sequence[Job], contents: Sequence[Content]) -> Any:
    """Each job with its content."""
    return zip(batch, contents, strict=True)


def new_of(job: Job) -> Entry:
    """What the path of a job that brings content will be."""
    assert job.change.new is not None
    return job.change.new


def _inline(job: Job) -> bool:
    return job.carries and not job.brought


def sources(batch: Sequence[Job]) -> list[bytes]:
    """What has to be durable at the other end before these changes are made."""
    return [job.origin for job in batch if not job.brought]


async def receive(
    driver: Driver,
    line: Line,
    number: int,
    path: bytes,
    entry: Entry,
    pieces: Sequence[bytes],
    progress: Progress | None = None,
) -> Any:
    """Bring over the file that the other end offers under ``number``; returns it, staged.

    Raises:
        RelayError, OSError: it cannot be. What has come is kept for the next time.
    """
    if reason := driver.folder.excluded(path):
        raise RelayError(f"{show(path)} {reason}")
    staging = await driver.work(driver.folder.stage, entry, path)

    def came(done: int, total: int) -> None:
        if progress:
            progress.came(done, total, CHUNK)

    try:
        wants = await driver.work(staging.wants, pieces)
        await line.incoming.receive(number, staging, wants, came)
    except BaseException:
        await driver.work(staging.leave)
        raise
    return staging


def ignored(folder: Folder, changes: Mapping[bytes, Entry | None]) -> list[bytes]:
    """Those that left the tree because the rules came to ignore them: no deletions."""
    gone = (path for path, entry in changes.items() if entry is None)
    return [path for path in gone if folder.excluded(path) == IGNORED]


async def commit_all(driver: Driver, changes: Sequence[tuple[Any, Any]], by: object) -> list[str]:
    """Make changes whose content is at hand; a text in its place is why there is none."""
    reasons = {n: what for n, (_, what) in enumerate(changes) if isinstance(what, str)}
    rest = [change for n, change in enumerate(changes) if n not in reasons]
    made = iter(await driver.commit(rest, by) if rest else ())
    return [reasons[n] if n in reasons else next(made) for n in range(len(changes))]
