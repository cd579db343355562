"""A router with a clock, and answers for the effects that need none of their own."""

from __future__ import annotations

from relay_kernel.core import effects as ef
from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Policy
from relay_kernel.core.router import Router

PC = "pc"


class World:
    """Feeds a router; kernels start and take over state at once unless told otherwise."""

    def __init__(self, *names: str, policy: Policy | None = None) -> None:
        self.router = Router([*(names or (PC,)), LOCAL], policy or Policy())
        self.now = 0.0
        self.log: list[ef.Effect] = []
        self.obeys = True
        self.feed(ev.TargetOpened(LOCAL))

    def feed(self, *events: ev.Event) -> list[ef.Effect]:
        """Feed events; returns what was ordered, beyond what this world did by itself."""
        got: list[ef.Effect] = []
        for event in events:
            got += self._answer(self.router.handle(event, self.now))
        self.log += got
        return got

    def pass_time(self, seconds: float) -> list[ef.Effect]:
        """Let time pass, waking the router when it wants to be woken."""
        end = self.now + seconds
        got: list[ef.Effect] = []
        while (at := self.router.next_deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            got += self._answer(self.router.handle_deadline(self.now))
        self.now = end
        self.log += got
        return got

    def _answer(self, effects: list[ef.Effect]) -> list[ef.Effect]:
        got: list[ef.Effect] = []
        for effect in effects:
            got.append(effect)
            if not self.obeys:
                continue
            if isinstance(effect, ef.StartKernel):
                started = ev.KernelStarted(effect.target)
                got += self._answer(self.router.handle(started, self.now))
            elif isinstance(effect, ef.Fill):
                applied = ev.SnapshotApplied(effect.target, effect.cell)
                got += self._answer(self.router.handle(applied, self.now))
        return got

    def submit(
        self, cell: int, target: str | None = None, *, once: bool = False
    ) -> list[ef.Effect]:
        return self.feed(ev.CellSubmitted(cell, target, once=once))

    def finish(self, *, ok: bool = True) -> list[ef.Effect]:
        """The running cell ends."""
        running = self.router.running
        assert running
        primary = self.router.primary
        return self.feed(ev.CellFinished(primary, running.epoch, running.number, ok))

    def secure(self) -> list[ef.Effect]:
        """The state after the last finished cell reaches the server."""
        last = self.router.unkept[-1]
        return self.feed(ev.SnapshotArrived(last.epoch, last.number))

    def run(self, cell: int) -> str:
        """Run a cell to its end, state and all; returns where it ran."""
        self.submit(cell)
        assert self.router.running
        where = self.router.primary
        self.finish()
        self.secure()
        return where

    def of(self, kind: type, effects: list[ef.Effect]) -> list:
        return [effect for effect in effects if isinstance(effect, kind)]
