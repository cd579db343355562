"""Where it is decided what has to be done at each end, while a link is up.

Whenever something is new at either end, both are compared with the base, and what follows is put
into the backlog of an end.

Invariants:

1. Nothing is decided about a path while a change of it is under way.
2. What a conflict displaces is first copied, at the target; only then is it displaced.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from relay_kernel.core.conflicts import note_path
from relay_kernel.core.reconcile import reconcile
from relay_kernel.core.tree import ancestors
from relay_kernel.files.backlog import Backlog, Job
from relay_kernel.files.base import Recorded
from relay_kernel.files.guard import is_damaged
from relay_kernel.files.later import Later

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from relay_kernel.core.plan import Change, Plan
    from relay_kernel.core.tree import Entry
    from relay_kernel.files.base import Base
    from relay_kernel.files.driver import Driver
    from relay_kernel.files.guard import Guard
    from relay_kernel.files.remote import Remote

SERVER, TARGET = "server", "target"


@dataclass(frozen=True)
class Sides:
    """The two ends of a pair, and what they had in common."""

    folder: str
    target: str
    driver: Driver
    remote: Remote
    base: Base


@dataclass(frozen=True)
class Decision:
    """What was decided, beside what was put into the backlogs.

    Attributes:
        agreed: where both ends are equal already, and the base has to follow.
        needless: what had been brought over and is not needed any more.
        conflicts: those that were not known.
        ask: why a person has to be asked first; then nothing was decided.
    """

    agreed: dict[bytes, Entry | None] = field(default_factory=dict)
    needless: list[Job] = field(default_factory=list)
    conflicts: list[Recorded] = field(default_factory=list)
    ask: str = ""


class Desk:
    """What is known, what is to be looked at, and what waits to be done.

    Attributes:
        sides: both ends.
        backlogs: what has to be done, by the end that it is done at.
        dirty: paths to look at.
        everything: whether everything is to be looked at.
        later: what was refused.
        damaged: files at the target that a power cut has damaged, and that are not mended yet.
        agreeing: paths where both ends are equal and the base is about to follow.
        unguarded: whether the next decision may delete as much as it likes: a person said so.
    """

    def __init__(self, sides: Sides, guard: Guard) -> None:
        self.sides = sides
        self.backlogs = {TARGET: Backlog(), SERVER: Backlog()}
        self.dirty: set[bytes] = set()
        self.everything = True
        self.later = Later()
        self.damaged: set[bytes] = set()
        self.agreeing: set[bytes] = set()
        self.unguarded = False
        self._guard = guard
        self._deferred: set[bytes] = set()
        self._copying: dict[bytes, set[bytes]] = {}
        self._half: dict[bytes, str] = {}

    # ------------------------------------------------------------------ what is left to do

    @property
    def at_rest(self) -> bool:
        """Whether both ends are equal, but for what is held."""
        waits = self.dirty or self.everything or self.agreeing or self._deferred or self.later
        return not (waits or any(map(len, self.backlogs.values())))

    def waits(self, path: bytes, towards: str) -> bool:
        """Whether something at ``path`` has still to be looked at, or to be brought there."""
        return (
            path in self.dirty
            or path in self.backlogs[towards]
            or path in self._deferred
            or (path in self.later and not self.later.patient(path))
        )

    def open_paths(self, towards: str) -> set[bytes]:
        """All of these."""
        jobs = self.backlogs[towards].paths
        return self.dirty | jobs | self._deferred | self.later.waiting()

    # ------------------------------------------------------------------ deciding

    def plan(self, paths: Iterable[bytes] | None) -> Plan:
        """What makes both ends equal at ``paths``, or everywhere."""
        driver, remote = self.sides.driver, self.sides.remote
        base: Mapping[bytes, Entry] = self.sides.base.entries
        tree, there = driver.tree, remote.tree
        if self.damaged:
            # Seen as what both had, it is what the server's version takes the place of.
            hurt = [path for path in self.damaged if is_damaged(base.get(path), there.get(path))]
            base = {**base, **{path: there[path] for path in hurt}}
        held = {*self._under_way(), *driver.held, *driver.skipped, *remote.held, *remote.skipped}
        return reconcile(base, tree, there, paths=paths, held=held, copy_name=self._copy_name)

    def decide(self) -> Decision:
        """Look at all that may be looked at now, and fill the backlogs."""
        paths = None if self.everything else self._free_paths()
        if paths is not None and not paths:
            return Decision()
        plan = self.plan(paths)
        if reason := self._alarm(plan):
            return Decision(ask=reason)
        self.everything = False
        done = set(self.dirty) if paths is None else paths
        self.dirty -= done
        needless = self._queue(plan, self._unqueue(done))
        self._forgive(self.later.known() if paths is None else done & self.later.known())
        self.end_conflicts(paths)
        self.agreeing.update(plan.agreed)
        found = [Recorded(c.path, c.copy, time.time()) for c in plan.conflicts]
        new = self.sides.base.add_conflicts(found)
        return Decision(dict(plan.agreed), needless, new)

    def _copy_name(self, path: bytes) -> bytes:
        entry, target = self.sides.remote.tree.get(path), self.sides.target
        if entry is None or not entry.mtime_ns:
            return note_path(path, target)
        when = datetime.fromtimestamp(entry.mtime_ns // 1_000_000_000).astimezone()
        return note_path(path, f"{target} {when:%Y-%m-%d %H.%M.%S}")

    def _under_way(self) -> set[bytes]:
        running = (backlog.running for backlog in self.backlogs.values())
        return self.agreeing.union(self._copying, *running)

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

    def _alarm(self, plan: Plan) -> str:
        """Why a person has to be asked: most of a folder is to be deleted."""
        if self.unguarded:
            self.unguarded = False
            self._guard.excuse()
            return ""
        sides = self.sides
        for changes, source, where in (
            (plan.target, sides.driver.tree, "on the server"),
            (plan.server, sides.remote.tree, f"at {sides.target}"),
        ):
            base = sides.base.entries
            reason = self._guard.alarm(changes, base, source, where, time.monotonic())
            if reason:
                return f"{reason}: resume to delete them at the other end too, or bring them back"
        return ""

    # ------------------------------------------------------------------ the backlogs

    def _unqueue(self, paths: Iterable[bytes]) -> dict[tuple[str, bytes], Job]:
        """Take back what waits for ``paths``; returns what had been brought over already."""
        brought = {}
        for towards, backlog in self.backlogs.items():
            for job in backlog.discard(paths):
                self.copied(job)
                if job.brought:
                    brought[towards, job.path] = job
        return brought

    def _queue(self, plan: Plan, brought: dict[tuple[str, bytes], Job]) -> list[Job]:
        """Fill the backlogs; returns what was brought over in vain."""
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
                self.backlogs[towards].put(job)
        self._note_conflicts(plan)
        return list(brought.values())

    def _job(self, towards: str, change: Change, plan: Plan, copies: list[bytes]) -> Job | None:
        """The job of a change; None where it has to wait until a conflict's copy is made.

        The copy is made of what the target has; it is brought over like any new file afterwards.
        """
        path, there = change.path, self.sides.remote.tree
        in_copy = any(_lies_in(path, copy) for copy in copies)
        if towards == SERVER:
            ready = not in_copy or there.get(path) == change.new
            return Job(towards, change, path) if ready else None
        if in_copy:
            return Job(towards, change, plan.origin(path), own=True, recorded=False)
        kept = change.kept_at
        ready = kept is None or there.get(kept) == change.old
        return Job(towards, change, path) if ready else None

    def _note_conflicts(self, plan: Plan) -> None:
        """Remember the conflicts, and what waits for their copies."""
        for conflict in plan.conflicts:
            jobs = self.backlogs[TARGET]
            owns = {job.path for job in jobs if job.own and _lies_in(job.path, conflict.copy)}
            if owns:
                self._copying[conflict.path] = owns
        if self._deferred and not self._copying:
            for path in self._deferred:
                self.later.put(path, "waits for the copy of another version", time.monotonic())
            self._deferred.clear()

    def _forgive(self, looked_at: set[bytes]) -> None:
        """What failed before, and has not to be done any more, is over."""
        running = self._under_way()
        for path in looked_at - running - self._deferred:
            if not any(path in backlog for backlog in self.backlogs.values()):
                self.later.done(path)

    def copied(self, job: Job) -> None:
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

    def made(self, job: Job) -> bool:
        """A job was done; whether the base may follow: not while its other half is missing."""
        self.later.done(job.path)
        self.copied(job)
        if job.towards == TARGET:
            self.sides.remote.follow({job.path: job.change.new})
        if job.recorded or self._half.pop(job.path, job.towards) != job.towards:
            return True
        if not job.own:
            self._half[job.path] = job.towards
        return False

    def end_conflicts(self, paths: Collection[bytes] | None) -> None:
        """A conflict whose copy a person has removed is over; only these paths are looked at."""
        places: list[Any] = [self.sides.driver.tree, self.sides.remote.tree, self._deferred]
        places += [backlog.waiting for backlog in self.backlogs.values()]
        over = [
            conflict.copy
            for conflict in self.sides.base.conflicts
            if (paths is None or conflict.copy in paths)
            and not any(conflict.copy in place for place in places)
        ]
        if over:
            self.sides.base.end_conflicts(over)


def _lies_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")
