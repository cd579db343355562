"""The coordinator: keeps one folder of the server equal to the same folder of one target."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import msgspec

from relay_kernel.core.errors import RelayError
from relay_kernel.files.base import Base
from relay_kernel.files.desk import SERVER, TARGET, Sides
from relay_kernel.files.errors import FolderError
from relay_kernel.files.guard import Guard, is_damaged
from relay_kernel.files.line import LineClosedError
from relay_kernel.files.remote import Remote
from relay_kernel.files.root import show
from relay_kernel.files.work import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from relay_kernel.core.tree import Entry, Tree
    from relay_kernel.files.driver import Driver, News
    from relay_kernel.files.line import Line
    from relay_kernel.files.rules import Rules
    from relay_kernel.wire.message import Message

log = logging.getLogger(__name__)

#: Seconds until an end that cannot be worked on is tried again.
AGAIN = 5.0
#: Why a pair stands still that a person has paused.
PAUSED = "paused by you"
#: Paths of which a status or an answer tells one by one, at most.
SHOWN = 100


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
        self._moved: asyncio.Future[None] | None = None
        self._behind: set[bytes] | None = None
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
            self.work, self._behind = None, None
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
            if self._behind is not None:
                self._behind |= news.changes.keys()
            self._change()

    def _change(self) -> None:
        """Wake whoever waits for both ends to be equal."""
        work = self.work
        if work is not None and work.desk.at_rest:
            self.last_sync = time.time()
            if self._boot and not work.desk.damaged:
                self.base.remember(boot=self._boot)
                self._boot = ""
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)
        self._moved = None

    def tell(self, word: str, fields: dict[str, Any]) -> None:
        """Tell the owner what a person may want to know."""
        self._tell_owner(word, {"folder": self.folder, "target": self.target, **fields})

    # ------------------------------------------------------------------ barriers

    async def settled(self, bound: float) -> list[dict[str, Any]]:
        """Wait until everything that is at the server now is at the target.

        Answers at once where nothing is new here. What is being written is not waited for, nor
        what was refused again and again.

        Args:
            bound: seconds to wait at most.

        Returns:
            What is not there yet: ``path``, ``size`` in bytes, ``why``. Empty: all is there.
        """
        async with _within(bound):
            await self.driver.settle(now=True)
            return await self._wait(TARGET)
        return self._missing(TARGET)

    async def fetched(self, bound: float) -> list[dict[str, Any]]:
        """Wait until everything that is at the target now is here; see :meth:`settled`."""
        async with _within(bound):
            while not await self._look_there():
                await self._movement()
            return await self._wait(SERVER)
        return self._missing(SERVER)

    async def _look_there(self) -> bool:
        """Have the target look at what happened a moment ago; false: it is not linked."""
        work = self.work
        if work is None:
            return False
        try:
            await work.look(everything=False)
        except LineClosedError:
            while self.work is work:
                await self._movement()
            return False
        return True

    async def _wait(self, towards: str) -> list[dict[str, Any]]:
        paths: set[bytes] | None = None
        work: Work | None = None
        while not self.paused:
            if self.work is not work:
                # Another link: everything is looked at anew.
                work, paths = self.work, None
            if work is None:
                if not self._open_paths():
                    break
            elif not work.desk.everything:
                known = work.desk.open_paths(towards) if paths is None else paths
                paths = {path for path in known if work.desk.waits(path, towards)}
                if not paths:
                    break
            await self._movement()
        return self._missing(towards)

    async def _movement(self) -> None:
        """Wait until anything has changed."""
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._moved)

    def _missing(self, towards: str) -> list[dict[str, Any]]:
        """What has not got there, the smallest first."""
        work = self.work
        paths = self._open_paths(towards)
        reasons = {**self.driver.held}
        if work is not None:
            reasons = work.reasons(towards)
        every = self.paused or self.trouble or self.driver.trouble
        every = every or ("" if work else f"{self.target} is not linked")
        found = []
        for path in paths | reasons.keys():
            entry = self.driver.tree.get(path) or (work.remote.tree.get(path) if work else None)
            why = reasons.get(path) or every or "is on its way"
            found.append({"path": show(path), "size": entry.size if entry else 0, "why": why})
        found.sort(key=lambda one: (one["size"], one["path"]))
        return found

    def _open_paths(self, towards: str = "") -> set[bytes]:
        """What has still to be brought over; without a link, what differs from the base."""
        work = self.work
        if work is not None and not work.desk.everything:
            ways = [towards] if towards else [SERVER, TARGET]
            return set[bytes]().union(*(work.desk.open_paths(way) for way in ways))
        if self._behind is None:
            self._behind = differing(self.base.entries, self.driver.tree)
        return {p for p in self._behind if self.base.entries.get(p) != self.driver.tree.get(p)}

    # ------------------------------------------------------------------ for people

    def status(self) -> dict[str, Any]:
        """How it stands: counts, sizes in bytes, times in seconds since the epoch."""
        work = self.work
        ways = work.ways if work else []
        return {
            "pending": len(self._open_paths()),
            "bytes": sum(way.backlog.size for way in ways),
            "conflicts": len(self.base.conflicts),
            "last_sync": self.last_sync,
            "paused": self.paused,
            "trouble": self.trouble or self.driver.trouble,
            "linked": work is not None,
            "transfers": [one.shown() for way in ways for one in way.large.values()],
            "held": _shown(self.driver.held | (work.remote.held if work else {})),
            "skipped": _shown(self.driver.skipped | (work.remote.skipped if work else {})),
            "refused": _shown(work.desk.later.reasons() if work else {}),
            "free": {SERVER: self.driver.free, TARGET: work.remote.free if work else None},
        }

    def conflicts(self) -> list[dict[str, Any]]:
        """Those that nobody has resolved or dismissed, the oldest first."""
        return [
            {"path": show(one.path), "copy": show(one.copy), "at": one.at}
            for one in self.base.conflicts
        ]

    async def trash(self, end: str) -> list[dict[str, Any]]:
        """What was displaced at the server or at the target, the newest first.

        Raises:
            FolderError: the target is not linked.
            RelayError, OSError: it cannot be looked at.
        """
        if end == SERVER:
            found = await self.driver.work(self.driver.folder.trash.list)
        else:
            found = await self._linked().trash()
        return [{"path": show(o.path), "when": o.when, "size": o.size} for o in found]

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

    def dismiss(self, copies: Iterable[bytes]) -> None:
        """A person has seen these conflicts; both versions stay."""
        self.base.end_conflicts(copies)

    def plan(self) -> dict[str, list[dict[str, Any]]]:
        """What would be done now, at each end; nothing is.

        Raises:
            FolderError: there is no link, so nobody knows what the target has.
        """
        plan = self._linked().desk.plan(None)
        return {
            end: [_described(change.path, change.old, change.new) for change in changes]
            for end, changes in ((SERVER, plan.server), (TARGET, plan.target))
        } | {
            "conflicts": [{"path": show(c.path), "copy": show(c.copy)} for c in plan.conflicts],
        }

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


def differing(base: Tree, tree: Tree) -> set[bytes]:
    """Where two trees differ."""
    return {p for p, e in tree.items() if base.get(p) != e} | (base.keys() - tree.keys())


def _shown(reasons: dict[bytes, str]) -> dict[str, str]:
    return {show(path): why for path, why in list(reasons.items())[:SHOWN]}


def _described(path: bytes, old: Entry | None, new: Entry | None) -> dict[str, Any]:
    if new is None:
        what = "delete"
    elif old is None:
        what = "create"
    else:
        what = "replace" if old.content != new.content or old.kind is not new.kind else "mode"
    size = new.size if new else 0
    return {"do": what, "path": show(path), "kind": (new or old).kind.value, "size": size}  # type: ignore[union-attr]


@contextlib.asynccontextmanager
async def _within(bound: float) -> AsyncIterator[None]:
    """A bound that ends the block in silence."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(bound):
            yield
