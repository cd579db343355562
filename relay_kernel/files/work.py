"""A pair at work, while a link is up: what was decided is begun, in batches and large files.

Every change is made only where its end still is as it was when that was decided: what is refused is
simply looked at again. The base follows only what is durable at both ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay_kernel.core.errors import RelayError
from relay_kernel.core.tree import ancestors, is_folder
from relay_kernel.files.desk import SERVER, TARGET, Desk, Sides
from relay_kernel.files.haul import Pull, Push, ignored
from relay_kernel.files.line import LineClosedError
from relay_kernel.files.packing import pack_paths, unpack_paths, unpack_values
from relay_kernel.files.progress import Progress
from relay_kernel.files.trash import Trashed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from relay_kernel.core.tree import Entry
    from relay_kernel.files.backlog import Backlog, Job
    from relay_kernel.files.driver import News
    from relay_kernel.files.guard import Guard
    from relay_kernel.files.haul import Haul
    from relay_kernel.files.line import Line
    from relay_kernel.wire.message import Message

log = logging.getLogger(__name__)

#: Batches and large files that are under way in one direction at a time.
BATCHES, LARGE = 2, 4


@dataclass
class Way:
    """One direction."""

    towards: str
    haul: Haul
    backlog: Backlog
    batches: int = 0
    large: dict[bytes, Progress] = field(default_factory=dict)
    sent: asyncio.Future[None] | None = None
    """Done when the newest batch was handed over: batches keep their order."""


class Work:
    """One pair on one link.

    Args:
        sides: both ends.
        line: to the target.
        guard: what it lets pass is done.
        stop: called with the reason where a person has to be asked.
        tell: called with a word and its fields for whatever a person may want to know.
        moved: called whenever anything has changed.

    Attributes:
        desk: what is known and left to do.
        ways: both directions.
        stopped: while it is true, nothing is begun.
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
        self.desk = Desk(sides, guard)
        self.remote = sides.remote
        self.stopped = False
        self._driver, self._base = sides.driver, sides.base
        self._head = {"folder": sides.folder}
        self._line = line
        self._stop = stop
        self._tell = tell
        self._moved = moved
        hauls = (
            (TARGET, Push(sides.folder, self._driver, line)),
            (SERVER, Pull(sides.folder, self._driver, line, self)),
        )
        self.ways = [Way(end, haul, self.desk.backlogs[end]) for end, haul in hauls]
        self._hauls: dict[str, Haul] = dict(hauls)
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._failure: BaseException | None = None
        self._in_doubt = self._looked = False

    # ------------------------------------------------------------------ its life

    async def run(self) -> None:
        """Go on until the line is closed.

        Raises:
            LineClosedError: it is.
            RelayError, OSError: the base or one of the ends cannot be worked on.
        """
        self._driver.listen(self.on_news)
        self._line.listen(self._head["folder"], self.on_notice)
        self._line.on_close(self._wake.set)
        self._wake.set()
        try:
            await self._account()
            while True:
                await self._turn()
        finally:
            self._driver.forget(self.on_news)
            await self._end()

    async def _account(self) -> None:
        """What an earlier link has ordered: what of it was made is no doing of a person's."""
        trees = {TARGET: self.remote.tree, SERVER: self._driver.tree}
        for towards, orders in [*self._base.orders.items()]:
            tree = trees[towards]
            made = {path: new for path, new in orders.items() if tree.get(path) == new}
            if made:
                # What is the destination of these orders is the source of the other way.
                source = self._hauls[SERVER if towards == TARGET else TARGET]
                await source.flush(list(made))
            await self._follow(made, list(orders))

    async def _end(self) -> None:
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for job in self.desk.backlogs[SERVER]:
            if job.brought:
                await self._driver.work(job.staged.leave)

    def wake(self) -> None:
        """Something has changed."""
        self._wake.set()
        self._moved()

    async def _turn(self) -> None:
        """Wait until there is something to do, decide, and begin it."""
        if self._failure:
            raise self._failure
        if self._line.closed.is_set():
            raise LineClosedError(self._line.reason)
        due = self.desk.later.next()
        pause = None if due is None else max(0.0, due - time.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pause)
        self._wake.clear()
        self.desk.dirty.update(self.desk.later.take(time.monotonic()))
        if not (self.stopped or self.remote.trouble or self._driver.trouble):
            self._decide()
        if not self.stopped:
            for way in self.ways:
                self._dispatch(way)
        self._moved()

    def _decide(self) -> None:
        if self._in_doubt:
            return
        decision = self.desk.decide()
        if decision.ask and not self._looked:
            # What was moved is gone at its old place before it is seen at its new one.
            self._in_doubt = True
            self._spawn(self._look_closely())
            return
        self._looked = False
        if decision.ask:
            self._stop(decision.ask)
        for job in decision.needless:
            self._spawn(self._hauls[job.towards].drop(job))
        for conflict in decision.conflicts:
            self._tell("conflict", {"path": conflict.path, "copy": conflict.copy})
        if decision.agreed:
            self._spawn(self._agree(decision.agreed))

    async def _look_closely(self) -> None:
        try:
            await self.look(everything=False)
            self._looked = True
        finally:
            self._in_doubt = False

    # ------------------------------------------------------------------ what is new

    def on_news(self, news: News) -> None:
        """Something is new at the server's end."""
        if news.ours is not self:
            hidden = set(ignored(self._driver.folder, news.changes))
            self.desk.dirty |= news.changes.keys() - hidden
            self.desk.dirty |= news.released
            self._leave_alone(hidden)
        self.wake()

    def on_notice(self, message: Message) -> None:
        """Something is new at the target's."""
        if message.kind == "changed":
            paths, hidden = self.remote.take(message)
            self.desk.dirty |= paths
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

    # ------------------------------------------------------------------ doing

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step would leave its work unawaited.
        task.add_done_callback(lambda _: work.close())

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
            await asyncio.to_thread(self._base.order, way.towards, _ordered(batch))
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
            elif self.desk.made(job):
                made[job.path] = job.change.new
        await self._follow(made, list(_ordered(batch)))
        self._tell("synced", {"paths": list(made), "towards": way.towards})

    async def _agree(self, agreed: dict[bytes, Entry | None]) -> None:
        """Both ends are equal there already: once they are durable, the base follows."""
        try:
            await asyncio.gather(*(way.haul.flush(list(agreed)) for way in self.ways))
            await self._follow(agreed)
        finally:
            self.desk.agreeing.difference_update(agreed)

    async def _follow(self, made: dict[bytes, Entry | None], settled: Sequence[bytes] = ()) -> None:
        if made or settled:
            made.update(self._folders_above(made))
            await asyncio.to_thread(self._base.write, made, settled)
            self._base.follow(made)
            self.desk.end_conflicts(made.keys())
            self.desk.damaged.difference_update(made)

    def _folders_above(self, made: dict[bytes, Entry | None]) -> dict[bytes, Entry]:
        """The folders that both ends have above these, so that the base is a whole tree.

        Where their modes differ, that is still to be decided: the server's is then the newer one.
        """
        found = {}
        for above in {f for path, new in made.items() if new for f in ancestors(path)}:
            here, there = self._driver.tree.get(above), self.remote.tree.get(above)
            known = above in made or above in self._base.entries
            if not known and is_folder(here) and is_folder(there):
                found[above] = there
        return found

    def _failed(self, jobs: Iterable[Job], why: object) -> None:
        tries = 0
        for job in jobs:
            reason = str(why) or type(why).__name__
            tries = max(tries, self.desk.later.put(job.path, reason, time.monotonic()).tries)
            self.desk.copied(job)
        if tries in {3, 6}:
            # Perhaps one end is not what is believed of it.
            self._spawn(self.look(everything=tries > 3))

    # ------------------------------------------------------------------ for those who ask

    def reasons(self, towards: str) -> dict[bytes, str]:
        """Path -> why it is not taken at the other end, or was refused again and again."""
        source = self._driver if towards == TARGET else self.remote
        return {**source.held, **self.desk.later.reasons()}

    async def bring_back(self) -> None:
        """What one end alone has lost is new there again, and so comes back from the other."""
        base, here, there = self._base.entries, self._driver.tree, self.remote.tree
        lost: dict[bytes, Entry | None] = {
            path: None for path in base if (path in here) != (path in there)
        }
        await self._follow(lost)
        self.desk.everything = True

    async def look(self, *, everything: bool) -> None:
        """Have both ends look again; returns when what they found is known here."""
        await self._line.ask("scan" if everything else "settle", self._head)
        await (self._driver.scan() if everything else self._driver.settle(now=True))

    async def trash(self) -> list[Trashed]:
        """What was displaced at the target."""
        answer = await self._line.ask("trash", self._head)
        paths = unpack_paths(answer.parts[0])
        whens, sizes = (unpack_values(part) for part in answer.parts[1:3])
        return [Trashed(*each) for each in zip(paths, whens, sizes, strict=True)]

    async def restore(self, path: bytes, when: str) -> None:
        """Put something back at the target."""
        await self._line.ask("restore", {**self._head, "when": when}, (pack_paths([path]),))


def _ordered(batch: Iterable[Job]) -> dict[bytes, Entry | None]:
    """The changes of a batch after which the base follows."""
    return {job.path: job.change.new for job in batch if job.recorded and not job.own}


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
