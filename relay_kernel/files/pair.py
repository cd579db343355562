"""The coordinator: keeps one folder of the server equal to the same folder of one target."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import msgspec

from relay_kernel.core.errors import RelayError
from relay_kernel.files import account
from relay_kernel.files.barrier import Barrier
from relay_kernel.files.base import Base
from relay_kernel.files.desk import SERVER, Sides
from relay_kernel.files.errors import FolderError
from relay_kernel.files.guard import Guard, is_damaged
from relay_kernel.files.line import LineClosedError
from relay_kernel.files.remote import Remote
from relay_kernel.files.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from relay_kernel.files.driver import Driver, News
    from relay_kernel.files.line import Line
    from relay_kernel.files.rules import Rules
    from relay_kernel.wire.message import Message

log = logging.getLogger(__name__)

#: Seconds until an end that cannot be worked on is tried again.
AGAIN = 5.0
#: Why a pair stands still that a person has paused.
PAUSED = "paused by you"


class Pair:
    """One folder and one target. It alone decides; the target's end follows.

    Args:
        folder: its name on the line.
        target: the target's name; it becomes part of the names of conflict copies.
        driver: the server's end. Opened and closed by whoever made it.
        file: the base.
        rules: of the folder, for both ends.
        tell: called on the loop with a word and its fields: ``synced``, ``conflict``, ``paused``,
            ``resumed``, ``linked``, ``unlinked``, ``trouble``.

    Attributes:
        paused: why nothing is brought over until a person says :meth:`resume`; empty: it is.
        trouble: why the target's folder cannot be worked on; empty: it can.
        last_sync: when both ends were last equal, in seconds since the epoch; None: never.
    """

    def __init__(
        self,
        folder: str,
        target: str,
        driver: Driver,
        file: Path,
        rules: Rules,
        tell: Callable[[str, dict[str, Any]], None] = lambda word, fields: None,
    ) -> None:
        self.folder = folder
        self.target = target
        self.driver = driver
        self.base = Base(file)
        self.paused = self.base.fact("paused")
        self.trouble = ""
        self.last_sync = float(self.base.fact("last_sync") or 0) or None
        self._rules = rules
        self._tell_owner = tell
        self._guard = Guard()
        self.work: Work | None = None
        """What is done while there is a link."""
        self._adopt = False
        self._resumed = asyncio.Event()
        self.barrier = Barrier(self)
        driver.listen(self._on_news)

    async def stop(self) -> None:
        """Make :meth:`run` return, wherever it is; returns when it has."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def close(self) -> None:
        """End; :meth:`run` has ended before."""
        self.driver.forget(self._on_news)
        self.base.close()

    # ------------------------------------------------------------------ a link's life

    async def run(self, line: Line) -> None:
        """Keep both ends equal over ``line``, until that is closed or :meth:`stop` is called."""
        self._running = asyncio.ensure_future(self._run(line))
        try:
            await asyncio.wait({self._running})
            if not self._running.cancelled():
                self._running.result()
        finally:
            await self.stop()
            self._running = None

    _running: asyncio.Task[None] | None = None

    async def _run(self, line: Line) -> None:
        try:
            while not line.closed.is_set():
                await self._serve(line)
                if not line.closed.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(line.closed.wait(), AGAIN)
        finally:
            if self.last_sync:
                self.base.remember(last_sync=str(self.last_sync))

    async def _serve(self, line: Line) -> None:
        """From the first look at the target to the end of the line, or trouble."""
        early: list[Message] = []
        line.listen(self.folder, early.append)
        try:
            remote = await self._meet(line)
            await self._at_work(line, remote, early)
        except LineClosedError:
            pass
        except FolderError as error:
            # Perhaps another disk is there: a person has to say that it is the right one.
            self.trouble = str(error)
            self.tell("trouble", {"why": self.trouble})
        except (RelayError, OSError) as error:
            log.warning("%s at %s: %s", self.folder, self.target, error)
            self.trouble = str(error)
            self.tell("trouble", {"why": self.trouble})
        except Exception as error:
            log.exception("%s at %s", self.folder, self.target)
            self.trouble = f"an error in the file plane, see its log: {error!r}"
            self.tell("trouble", {"why": self.trouble})
        finally:
            line.forget(self.folder)
            self._change()

    async def _meet(self, line: Line) -> Remote:
        """See what the target has, and whether it is what it was."""
        head = {"folder": self.folder, "rules": msgspec.to_builtins(self._rules)}
        remote = Remote(await line.ask("open", {**head, "adopt": self._adopt}))
        self._adopt, self.trouble = False, ""
        await self._recognise(line, remote.base)
        if remote.base != self.base.id:
            await line.ask("adopt", {"folder": self.folder, "base": self.base.id})
        return remote

    async def _recognise(self, line: Line, known: str) -> None:
        """Ask where the base and the target's folder do not belong together.

        Without a base nothing is deleted: what only one end has is then new at the other.
        """
        merge = "resume, and what only one has is copied to the other; nothing is deleted"
        had = bool(self.base.entries)
        if self.base.damaged or (known and known != self.base.id and not had):
            await self._ask(
                line, f"what {self.target} and the server last had in common is lost: {merge}"
            )
            self.base.damaged = False
        elif had and known != self.base.id:
            await self._ask(
                line, f"{self.folder} at {self.target} is not the one that it was: {merge}"
            )
            await asyncio.to_thread(self.base.clear)

    async def _ask(self, line: Line, reason: str) -> None:
        """Stand still until a person says :meth:`resume`."""
        self._stop(reason)
        closed = asyncio.ensure_future(line.closed.wait())
        try:
            while self.paused:
                self._resumed.clear()
                resumed = asyncio.ensure_future(self._resumed.wait())
                await asyncio.wait({resumed, closed}, return_when=asyncio.FIRST_COMPLETED)
                resumed.cancel()
                if closed.done():
                    self.paused = ""
                    raise LineClosedError(line.reason)
        finally:
            closed.cancel()

    async def _at_work(self, line: Line, remote: Remote, early: Iterable[Message]) -> None:
        sides = Sides(self.folder, self.target, self.driver, remote, self.base)
        self.work = work = Work(
            sides, line, self._guard, stop=self._stop, tell=self.tell, moved=self._change
        )
        work.stopped = bool(self.paused)
        for message in early:
            work.on_notice(message)
        self._find_damage(work, remote)
        self.tell("linked", {})
        try:
            await work.run()
        finally:
            self.work = None
            self.barrier.forget()
            self.trouble = remote.trouble
            self.tell("unlinked", {})

    def _find_damage(self, work: Work, remote: Remote) -> None:
        """After a boot of the target that nobody announced: what did its power cut damage?"""
        before = self.base.fact("boot")
        if before and before not in {remote.boot, remote.ended}:
            base = self.base.entries
            hurt = {path for path, e in remote.tree.items() if is_damaged(base.get(path), e)}
            work.desk.damaged = hurt
            if hurt:
                log.warning("%d damaged files at %s are mended", len(hurt), self.target)
        self._boot = remote.boot

    _boot = ""

    def _on_news(self, news: News) -> None:
        """Something is new at the server's end; while there is a link, the work looks at it."""
        if self.work is None:
            self.barrier.behind(set(news.changes))
            self._change()

    def _change(self) -> None:
        """Wake whoever waits for both ends to be equal."""
        work = self.work
        if work is not None and work.desk.at_rest:
            self.last_sync = time.time()
            if self._boot and not work.desk.damaged:
                self.base.remember(boot=self._boot)
                self._boot = ""
        self.barrier.moved()

    def tell(self, word: str, fields: dict[str, Any]) -> None:
        """Tell the owner what a person may want to know."""
        self._tell_owner(word, {"folder": self.folder, "target": self.target, **fields})

    # ------------------------------------------------------------------ for those who ask

    async def settled(
        self, bound: float, beside: frozenset[bytes] = frozenset(), *, linked: bool = False
    ) -> list[dict[str, Any]]:
        """Wait until all that is at the server is at the target: see :meth:`Barrier.settled`."""
        return await self.barrier.settled(bound, beside, linked=linked)

    async def fetched(
        self, bound: float, beside: frozenset[bytes] = frozenset(), *, linked: bool = False
    ) -> list[dict[str, Any]]:
        """Wait until all that is at the target is here: see :meth:`Barrier.fetched`."""
        return await self.barrier.fetched(bound, beside, linked=linked)

    def status(self) -> dict[str, Any]:
        """How it stands; see :func:`relay_kernel.files.account.status`."""
        return account.status(self)

    def plan(self) -> dict[str, list[dict[str, Any]]]:
        """What would be done now, at each end; nothing is.

        Raises:
            FolderError: there is no link, so nobody knows what the target has.
        """
        return account.plan(self._linked().desk.plan(None))

    def conflicts(self) -> list[dict[str, Any]]:
        """Those that nobody has resolved or dismissed, the oldest first."""
        return account.conflicts(self.base.conflicts)

    def dismiss(self, copies: Iterable[bytes]) -> None:
        """A person has seen these conflicts; both versions stay."""
        self.base.end_conflicts(copies)

    async def trash(self, end: str) -> list[dict[str, Any]]:
        """What was displaced at the server or at the target, the newest first.

        Raises:
            FolderError: the target is not linked.
            RelayError, OSError: it cannot be looked at.
        """
        if end == SERVER:
            return account.trash(await self.driver.work(self.driver.folder.trash.list))
        return account.trash(await self._linked().trash())

    async def restore(self, end: str, path: bytes, when: str) -> None:
        """Put something back where it was; it is then the newest version, at both ends.

        Raises:
            FolderError: it is not in the trash, or the target is not linked.
            RelayError, OSError: it cannot be put back.
        """
        if end == SERVER:
            await self.driver.work(self.driver.folder.trash.restore, path, when)
            await self.driver.settle(now=True)
        else:
            await self._linked().restore(path, when)

    def _linked(self) -> Work:
        if self.work is None:
            raise FolderError(f"{self.target} is not linked: nobody can look there now")
        return self.work

    def pause(self) -> None:
        """Bring over nothing more until :meth:`resume`; also after a restart."""
        self.base.remember(paused=PAUSED)
        self._stop(PAUSED)

    async def resume(self, *, bring_back: bool = False) -> None:
        """Go on, and do what was asked about.

        Args:
            bring_back: where most of a folder was gone at one end, have it back from the other
                instead of deleting it there too.
        """
        work, reason = self.work, self.paused
        self.base.remember(paused="")
        self.paused = ""
        if self.trouble:
            self._adopt = True
        if work is not None:
            if bring_back:
                await work.bring_back()
            else:
                work.desk.unguarded = bool(reason) and reason != PAUSED
            work.stopped = False
            work.wake()
        self._resumed.set()
        self.tell("resumed", {})

    def _stop(self, reason: str) -> None:
        self.paused = reason
        if self.work is not None:
            self.work.stopped = True
        log.warning("%s at %s is paused: %s", self.folder, self.target, reason)
        self.tell("paused", {"why": reason})
        self._change()
