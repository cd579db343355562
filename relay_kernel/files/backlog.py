"""What has still to be done at one end, and what of it is next.

Order: what is small or links first, the newest before the others, each together with the folders
that it needs: a new folder that comes with its content is moved into its place as a whole. What is
large travels beside that, and is committed when it has come. Deletions go last and deepest first. A
folder is deleted only when nothing that lies below waits any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from relay_kernel.core.tree import Kind, ancestors, is_folder, parent
from relay_kernel.files.digest import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relay_kernel.core.plan import Change

#: Changes of a batch, at most; and their bytes.
BATCH = 2000
BATCH_BYTES = 2 << 20


@dataclass(eq=False, slots=True)
class Job:
    """One change, on its way."""

    towards: str
    """The end that it is made at."""
    change: Change
    origin: bytes
    """Where the other end has the content; or this end, where it moves a version of its own."""
    own: bool = False
    """The content is at this very end already: a conflict copy of what lies at ``origin``."""
    recorded: bool = True
    """Whether the base follows as soon as this is done."""
    staged: Any = None
    """What has come over piece by piece, ready to be committed."""
    brought: bool = field(default=False)
    """Whether :attr:`staged` is there."""

    @property
    def path(self) -> bytes:
        """Where."""
        return self.change.path

    @property
    def carries(self) -> bool:
        """Whether content has to be brought: not for a mode, a folder, a link, a deletion."""
        old, new = self.change.old, self.change.new
        if new is None or new.kind is not Kind.FILE:
            return False
        return old is None or old.kind is not Kind.FILE or old.content != new.content

    @property
    def travels_alone(self) -> bool:
        """Whether its content goes piece by piece, and not within a batch."""
        return self.carries and not self.brought and (self.own or self.size > CHUNK)

    @property
    def size(self) -> int:
        """Bytes of content that have to be brought."""
        return self.change.new.size if self.carries and self.change.new else 0

    @property
    def rank(self) -> tuple[int, int, bytes]:
        """Folders in the order of their paths; the rest by size, the newest first."""
        new = self.change.new
        if new is None or is_folder(new):
            return (-1, 0, self.path)
        return (self.size.bit_length(), -new.mtime_ns, self.path)


class Backlog:
    """The jobs for one end. One a path; each is waiting, or under way."""

    def __init__(self) -> None:
        self._making: dict[bytes, Job] = {}
        self._clearing: dict[bytes, Job] = {}
        self._alone: dict[bytes, Job] = {}
        self.running: dict[bytes, Job] = {}

    def __len__(self) -> int:
        return len(self._making) + len(self._clearing) + len(self._alone) + len(self.running)

    def __contains__(self, path: bytes) -> bool:
        return path in self.running or any(path in jobs for jobs in self._waiting)

    @property
    def paths(self) -> set[bytes]:
        """Paths of all."""
        return set[bytes]().union(*self._waiting, self.running)

    @property
    def waiting(self) -> set[bytes]:
        """Paths of what is not under way yet."""
        return set[bytes]().union(*self._waiting)

    @property
    def _waiting(self) -> tuple[dict[bytes, Job], ...]:
        return self._making, self._clearing, self._alone

    def __iter__(self) -> Iterator[Job]:
        for jobs in (self.running, *self._waiting):
            yield from jobs.values()

    @property
    def size(self) -> int:
        """Bytes that have to be brought."""
        return sum(job.size for job in self)

    def put(self, job: Job) -> None:
        """Add a job, in place of one that waits there."""
        self.discard([job.path])
        jobs = self._clearing if job.change.clears else self._making
        (self._alone if job.travels_alone else jobs)[job.path] = job

    def discard(self, paths: Iterable[bytes]) -> list[Job]:
        """Forget what waits at these paths; returns it."""
        gone = []
        for path in paths:
            for jobs in self._waiting:
                if job := jobs.pop(path, None):
                    gone.append(job)
        return gone

    def clear(self) -> None:
        """Forget everything."""
        for jobs in (*self._waiting, self.running):
            jobs.clear()

    # ------------------------------------------------------------------ what is next

    def take_batch(self) -> list[Job]:
        """The next jobs to be committed together, in an order that works; they are under way."""
        chosen: dict[bytes, Job] = {}
        size = 0
        for job in nsmallest(BATCH, self._ready(), key=lambda job: job.rank):
            inline = 0 if job.brought else job.size
            if chosen and (size + inline > BATCH_BYTES or len(chosen) >= BATCH):
                break
            size += inline
            chosen[job.path] = job
            for folder in ancestors(job.path):
                if above := self._making.get(folder):
                    chosen[folder] = above
        batch = sorted(chosen.values(), key=lambda job: job.path)
        deepest = sorted(self._clearing.values(), key=lambda job: job.path, reverse=True)
        batch += deepest[: max(0, BATCH - len(batch))]
        for job in batch:
            self._making.pop(job.path, None)
            self._clearing.pop(job.path, None)
            self.running[job.path] = job
        return batch

    def _ready(self) -> list[Job]:
        """What may be next: all but the folders that something is waiting to go into."""
        jobs = self._making.values()
        waited_for = {parent(job.path) for job in jobs if not is_folder(job.change.new)}
        return [j for j in jobs if not (j.path in waited_for and is_folder(j.change.new))]

    def take_large(self) -> Job | None:
        """The next job that travels alone; it is under way."""
        if not self._alone:
            return None
        job = min(self._alone.values(), key=lambda job: job.rank)
        del self._alone[job.path]
        self.running[job.path] = job
        return job

    def back(self, job: Job) -> None:
        """It has come over, and waits to be committed."""
        self.running.pop(job.path, None)
        self.put(job)

    def done(self, jobs: Iterable[Job]) -> None:
        """They are over, one way or the other."""
        for job in jobs:
            if self.running.get(job.path) is job:
                del self.running[job.path]
