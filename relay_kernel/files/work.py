"""A pair at work, while a link is up: what to do is decided here, and begun.

Whenever something is new at either end, both are compared with the base, and what follows is put
into the backlog of an end; batches and single large files are taken from there. Every change is
made only where its end still is as it was when that was decided: what is refused is simply looked
at again.

Invariants:

1. Nothing is decided about a path while a change of it is under way.
2. The base follows only what is durable at both ends.
3. What a conflict displaces is first copied, at the target; only then is it displaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from relay_kernel.core.conflicts import note_path
from relay_kernel.core.errors import RelayError
from relay_kernel.core.reconcile import reconcile
from relay_kernel.core.tree import ancestors
from relay_kernel.files.backlog import Backlog, Job
from relay_kernel.files.base import Recorded
from relay_kernel.files.guard import is_damaged
from relay_kernel.files.haul import Pull, Push, ignored
from relay_kernel.files.later import Later
from relay_kernel.files.line import LineClosedError
from relay_kernel.files.packing import pack_paths, unpack_paths, unpack_values
from relay_kernel.files.progress import Progress
from relay_kernel.files.trash import Trashed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping

    from relay_kernel.core.plan import Change, Plan
    from relay_kernel.core.tree import Entry
    from relay_kernel.files.base import Base
    from relay_kernel.files.driver import Driver, News
    from relay_kernel.files.guard import Guard
    from relay_kernel.files.haul import Haul
    from relay_kernel.files.line import Line
    from relay_kernel.files.remote import Remote
    from relay_kernel.wire.message import Message

log = logging.getLogger(__name__)

SERVER, TARGET = "server", "target"
#: Batches and large files that are under way in one direction at a time.
BATCHES, LARGE = 2, 4


@dataclass
class Way:
    """One direction."""

    towards: str
    haul: Haul
    backlog: Backlog = field(default_factory=Backlog)
    batches: int = 0
    large: dict[bytes, Progress] = field(default_factory=dict)
    sent: asyncio.Future[None] | None = None
    """Done when the newest batch was handed over: batches keep their order."""


@dataclass(frozen=True)
class Sides:
    """The two ends of a pair, and what they had in common."""

    folder: str
    target: str
    driver: Driver
    remote: Remote
    base: Base


class Work:
    """One pair on one link.

    Args:
        sides: both ends.
        line: to the target.
        guard: what it lets pass is done.
        stop: called with the reason where a person has to be asked; nothing more is begun until
            :attr:`stopped` is false again.
        tell: called with a word and its fields for whatever a person may want to know.
        moved: called whenever anything has changed.
    """

    def __init__(
        self,
        sides: Sides,
        line: Line,
        guard: Guard,
        *,
        stop: Callable[[str], None],
        tell: Callable[[str, dict[str, Any]], None],
        moved: Callable[[], None],
    ) -> None:
        self._sides = sides
        self._driver, self.remote, self._base = sides.driver, sides.remote, sides.base
        self._line = line
        self._guard = guard
        self._stop = stop
        self._tell = tell
        self._moved = moved
        self.stopped = False
        self.unguarded = False
        """Whether the next decision may delete as much as it likes: a person has said so."""
        self.everything = True
        """Whether everything is to be looked at."""
        self.dirty: set[bytes] = set()
        """What is to be looked at."""
        self.later = Later()
        self.damaged: set[bytes] = set()
        """Files at the target that a power cut has damaged, and that are not mended yet."""
        push = Push(sides.folder, self._driver, line)
        pull = Pull(sides.folder, self._driver, line, self)
        self.ways = {TARGET: Way(TARGET, push), SERVER: Way(SERVER, pull)}
        self._agreeing: set[bytes] = set()
        self._deferred: set[bytes] = set()
        self._copying: dict[bytes, set[bytes]] = {}
        self._half: dict[bytes, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._failure: BaseException | None = None

    # ------------------------------------------------------------------ its life

    async def run(self) -> None:
        """Go on until the line is closed.

        Raises:
            LineClosedError: it is.
            RelayError, OSError: the base or one of the ends cannot be worked on.
        """
        # Before the first moment in which anything could come: what came so far is taken in.
        self._driver.listen(self.on_news)
        self._line.listen(self._sides.folder, self.on_notice)
        self._wake.set()
        self._line.on_close(self._wake.set)
        try:
            while True:
                await self._turn()
        finally:
            self._driver.forget(self.on_news)
            await self._end()

    async def _end(self) -> None:
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for job in self.ways[SERVER].backlog:
            if job.brought:
                await self._driver.work(job.staged.leave)

    def wake(self) -> None:
        """Something has changed."""
        self._wake.set()
        self._moved()

    @property
    def at_rest(self) -> bool:
        """Whether both ends are equal, but for what is held."""
        waits = self.dirty or self.everything or self._agreeing or self._deferred
        return not (waits or self.later or any(len(way.backlog) for way in self.ways.values()))

    def waits(self, path: bytes, towards: str) -> bool:
        """Whether something at ``path`` has still to be looked at, or to be brought there."""
        return (
            path in self.dirty
            or path in self.ways[towards].backlog
            or path in self._deferred
            or (path in self.later and not self.later.patient(path))
        )

    def open_paths(self, towards: str) -> set[bytes]:
        """All of these."""
        jobs = {job.path for job in self.ways[towards].backlog}
        return self.dirty | jobs | self._deferred | self.later.waiting()

    def reasons(self, towards: str) -> dict[bytes, str]:
        """Path -> why it is not taken at the other end, or was refused again and again."""
        source = self._driver if towards == TARGET else self.remote
        return {**source.held, **self.later.reasons()}

    def entry(self, path: bytes) -> Entry | None:
        """What the target has at ``path``."""
        return self.remote.tree.get(path)

    async def bring_back(self) -> None:
        """What one end alone has lost is new there again, and so comes back from the other."""
        base, here, there = self._base.entries, self._driver.tree, self.remote.tree
        lost: dict[bytes, Entry | None] = {
            path: None for path in base if (path in here) != (path in there)
        }
        await self._follow(lost)
        self.everything = True

    async def look(self, *, everything: bool) -> None:
        """Have both ends look again; returns when what they found is known here."""
        verb = "scan" if everything else "settle"
        await self._line.ask(verb, {"folder": self._sides.folder})
        await (self._driver.scan() if everything else self._driver.settle(now=True))

    async def trash(self) -> list[Trashed]:
        """What was displaced at the target."""
        answer = await self._line.ask("trash", {"folder": self._sides.folder})
        paths = unpack_paths(answer.parts[0])
        whens, sizes = (unpack_values(part) for part in answer.parts[1:3])
        return [Trashed(*each) for each in zip(paths, whens, sizes, strict=True)]

    async def restore(self, path: bytes, when: str) -> None:
        """Put something back at the target."""
        head = {"folder": self._sides.folder, "when": when}
        await self._line.ask("restore", head, (pack_paths([path]),))

    # ------------------------------------------------------------------ what is new

    def on_news(self, news: News) -> None:
        """Something is new at the server's end."""
        if news.ours is not self:
            hidden = set(ignored(self._driver.folder, news.changes))
            self.dirty |= news.changes.keys() - hidden
            self.dirty |= news.released
            self._leave_alone(hidden)
        self.wake()

    def on_notice(self, message: Message) -> None:
        """Something is new at the target's."""
        if message.kind == "changed":
            paths, hidden = self.remote.take(message)
            self.dirty |= paths
            self._leave_alone(hidden)
            self.wake()

    def _leave_alone(self, hidden: set[bytes]) -> None:
        """What the rules of one end came to ignore is no deletion."""
        known: dict[bytes, Entry | None] = {
            path: None for path in hidden if path in self._base.entries
        }
        if known:
            self._base.follow(known)
            self._spawn(asyncio.to_thread(self._base.write, known))

    # ------------------------------------------------------------------ deciding

    async def _turn(self) -> None:
        """Wait until there is something to do, decide, and begin it."""
        if self._failure:
            raise self._failure
        if self._line.closed.is_set():
            raise LineClosedError(self._line.reason)
        due = self.later.next()
        pause = None if due is None else max(0.0, due - time.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pause)
        self._wake.clear()
        self.dirty.update(self.later.take(time.monotonic()))
        if self.stopped or self.remote.trouble or self._driver.trouble:
            return
        if self.dirty or self.everything:
            self._decide()
        if not self.stopped:
            for way in self.ways.values():
                self._dispatch(way)
        self._moved()

    def _decide(self) -> None:
        paths = None if self.everything else self._free_paths()
        if paths is not None and not paths:
            return
        plan = self.plan(paths)
        if self._is_alarming(plan):
            return
        self.everything = False
        done = set(self.dirty) if paths is None else paths
        self.dirty -= done
        self._queue(plan, self._unqueue(done))
        self._end_conflicts(paths)
        if plan.agreed:
            self._agreeing.update(plan.agreed)
            self._spawn(self._agree(dict(plan.agreed)))

    def plan(self, paths: Iterable[bytes] | None) -> Plan:
        """What makes both ends equal at ``paths``, or everywhere."""
        base: Mapping[bytes, Entry] = self._base.entries
        tree, there = self._driver.tree, self.remote.tree
        if self.damaged:
            # Seen as what both had, it is what the server's version takes the place of.
            hurt = [path for path in self.damaged if is_damaged(base.get(path), there.get(path))]
            base = {**base, **{path: there[path] for path in hurt}}
        held = {*self._under_way(), *self._driver.held, *self._driver.skipped}
        held.update(self.remote.held, self.remote.skipped)
        return reconcile(base, tree, there, paths=paths, held=held, copy_name=self._copy_name)

    def _copy_name(self, path: bytes) -> bytes:
        entry, target = self.remote.tree.get(path), self._sides.target
        if entry is None or not entry.mtime_ns:
            return note_path(path, target)
        when = datetime.fromtimestamp(entry.mtime_ns // 1_000_000_000).astimezone()
        return note_path(path, f"{target} {when:%Y-%m-%d %H.%M.%S}")

    def _under_way(self) -> set[bytes]:
        running = (way.backlog.running for way in self.ways.values())
        return self._agreeing.union(self._copying, *running)

    def _free_paths(self) -> set[bytes]:
        """What is to be looked at, without what is, lies above or lies below a running change."""
        running = self._under_way()
        if not running:
            return set(self.dirty)
        above = {folder for path in running for folder in ancestors(path)}
        return {
            path
            for path in self.dirty
            if not (path in running or path in above or any(f in running for f in ancestors(path)))
        }

    def _is_alarming(self, plan: Plan) -> bool:
        """Stop where most of a folder is to be deleted, and ask."""
        if self.unguarded:
            self.unguarded = False
            self._guard.excuse()
            return False
        target = self._sides.target
        for changes, source, where in (
            (plan.target, self._driver.tree, "on the server"),
            (plan.server, self.remote.tree, f"at {target}"),
        ):
            base = self._base.entries
            reason = self._guard.alarm(changes, base, source, where, time.monotonic())
            if reason:
                self._stop(
                    f"{reason}: resume to delete them at the other end too, or bring them back"
                )
                return True
        return False

    # ------------------------------------------------------------------ the backlogs

    def _unqueue(self, paths: Iterable[bytes]) -> dict[tuple[str, bytes], Job]:
        """Take back what waits for ``paths``; returns what had been brought over already."""
        brought = {}
        for way in self.ways.values():
            for job in way.backlog.discard(paths):
                self._copied(job)
                if job.brought:
                    brought[way.towards, job.path] = job
        return brought

    def _queue(self, plan: Plan, brought: dict[tuple[str, bytes], Job]) -> None:
        copies = [conflict.copy for conflict in plan.conflicts]
        both = {c.path for c in plan.server} & {c.path for c in plan.target}
        for towards, changes in ((TARGET, plan.target), (SERVER, plan.server)):
            for change in changes:
                self._half.pop(change.path, None)
                job = self._job(towards, change, plan, copies)
                if job is None:
                    self._deferred.add(change.path)
                    continue
                job.recorded = job.recorded and change.path not in both
                old = brought.get((towards, change.path))
                if old and old.change.new == change.new and job.carries:
                    job.staged, job.brought = old.staged, True
                    del brought[towards, change.path]
                self.ways[towards].backlog.put(job)
        for (towards, _), job in brought.items():
            self._spawn(self.ways[towards].haul.drop(job))
        for conflict in plan.conflicts:
            within = (conflict.copy, conflict.copy + b"/")
            owns = {j.path for j in self.ways[TARGET].backlog if j.own and _lies(j.path, *within)}
            if owns:
                self._copying[conflict.path] = owns
        if self._deferred and not self._copying:
            for path in self._deferred:
                self.later.put(path, "waits for the copy of another version", time.monotonic())
            self._deferred.clear()
        self._record(plan)

    def _copied(self, job: Job) -> None:
        """A job of a conflict's copy is over; after the last, what had to wait is looked at."""
        if not job.own:
            return
        for path, owns in [*self._copying.items()]:
            owns.discard(job.path)
            if not owns:
                del self._copying[path]
        if not self._copying:
            self.dirty |= self._deferred
            self._deferred.clear()

    def _job(self, towards: str, change: Change, plan: Plan, copies: list[bytes]) -> Job | None:
        """The job of a change; None where it has to wait until a conflict's copy is made.

        First the target's version is copied, at the target; only then does the server's take its
        place, and the copy is brought over like any new file.
        """
        path, there = change.path, self.remote.tree
        in_copy = any(_lies(path, copy, copy + b"/") for copy in copies)
        if towards == SERVER:
            ready = not in_copy or there.get(path) == change.new
            return Job(change, path) if ready else None
        if in_copy:
            return Job(change, plan.origin(path), own=True, recorded=False)
        kept = change.kept_at
        return Job(change, path) if kept is None or there.get(kept) == change.old else None

    def _record(self, plan: Plan) -> None:
        found = [Recorded(c.path, c.copy, time.time()) for c in plan.conflicts]
        for conflict in self._base.add_conflicts(found):
            self._tell("conflict", {"path": conflict.path, "copy": conflict.copy})

    def _end_conflicts(self, paths: Collection[bytes] | None) -> None:
        """A conflict whose copy a person has removed is over."""
        places: list[Any] = [self._driver.tree, self.remote.tree]
        places += [way.backlog.waiting for way in self.ways.values()]
        over = [
            conflict.copy
            for conflict in self._base.conflicts
            if (paths is None or conflict.copy in paths)
            and conflict.copy not in self._deferred
            and not any(conflict.copy in place for place in places)
        ]
        if over:
            self._base.end_conflicts(over)

    # ------------------------------------------------------------------ doing

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watched(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except Exception as error:
            self._failure = self._failure or error
        finally:
            self.wake()

    def _dispatch(self, way: Way) -> None:
        while len(way.large) < LARGE and (job := way.backlog.take_large()):
            way.large[job.path] = Progress(job.path, way.towards, job.size)
            self._spawn(self._bring(way, job))
        while way.batches < BATCHES and (batch := way.backlog.take_batch()):
            way.batches += 1
            before, way.sent = way.sent, asyncio.get_running_loop().create_future()
            self._spawn(self._carry(way, batch, before, way.sent))

    async def _bring(self, way: Way, job: Job) -> None:
        try:
            await way.haul.bring(job, way.large[job.path])
        except LineClosedError:
            raise
        except (RelayError, OSError) as error:
            way.backlog.done([job])
            self._failed([job], error)
        else:
            way.backlog.back(job)
        finally:
            way.large.pop(job.path, None)

    async def _carry(
        self,
        way: Way,
        batch: list[Job],
        before: asyncio.Future[None] | None,
        sent: asyncio.Future[None],
    ) -> None:
        try:
            contents = await way.haul.prepare(batch)
            if before is not None:
                await before
            commit = asyncio.ensure_future(way.haul.commit(batch, contents))
            # Its first step hands the batch over; the next one may follow.
            await asyncio.sleep(0)
            _set(sent)
            await self._finish(way, batch, await commit)
        except LineClosedError:
            raise
        except (RelayError, OSError) as error:
            self._failed(batch, error)
        finally:
            _set(sent)
            way.batches -= 1
            way.backlog.done(batch)

    async def _finish(self, way: Way, batch: list[Job], results: list[str]) -> None:
        """Both ends have what was made, on disk: the base follows."""
        made: dict[bytes, Entry | None] = {}
        for job, why in zip(batch, results, strict=True):
            if why:
                self._failed([job], why)
                continue
            self._copied(job)
            self.later.done(job.path)
            if way.towards == TARGET:
                self.remote.follow({job.path: job.change.new})
            if job.recorded or self._half.pop(job.path, way.towards) != way.towards:
                made[job.path] = job.change.new
            elif not job.own:
                self._half[job.path] = way.towards
        await self._follow(made)
        self._tell("synced", {"paths": list(made), "towards": way.towards})

    async def _agree(self, agreed: dict[bytes, Entry | None]) -> None:
        """Both ends are equal there already: once they are durable, the base follows."""
        try:
            await asyncio.gather(*(way.haul.flush(list(agreed)) for way in self.ways.values()))
            await self._follow(agreed)
        finally:
            self._agreeing.difference_update(agreed)

    async def _follow(self, made: dict[bytes, Entry | None]) -> None:
        if made:
            await asyncio.to_thread(self._base.write, made)
            self._base.follow(made)
            self._end_conflicts(made.keys())
            self.damaged.difference_update(made)

    def _failed(self, jobs: Iterable[Job], why: object) -> None:
        tries = 0
        for job in jobs:
            reason = str(why) or type(why).__name__
            tries = max(tries, self.later.put(job.path, reason, time.monotonic()).tries)
            self._copied(job)
        if tries in {3, 6}:
            # Perhaps one end is not what is believed of it.
            self._spawn(self.look(everything=tries > 3))


def _lies(path: bytes, folder: bytes, inside: bytes) -> bool:
    return path == folder or path.startswith(inside)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
