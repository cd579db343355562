"""Virtual time, and processes that live in it: they may stop, sleep, go on and die."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from tests.sim.oracle import Broken, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

#: Timers at one instant.
MOST = 10_000


class Timer:
    """Something that will be done at a time, unless it is cancelled."""

    __slots__ = ("at", "cancelled", "do", "slept")

    def __init__(self, at: float, do: Callable[[], None], slept: float = 0.0) -> None:
        self.at = at
        self.do = do
        self.slept = slept
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """Jumps from one timer to the next. Timers of one instant run in the order they were set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.messages = 0
        """How many were sent so far, by anybody."""
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def call_later(self, seconds: float, do: Callable[[], None]) -> Timer:
        return self.push(Timer(self.now + max(0.0, seconds), do))

    def push(self, timer: Timer) -> Timer:
        self._count += 1
        heapq.heappush(self._heap, (timer.at, self._count, timer))
        return timer

    def run(self, until: float) -> None:
        busy = 0
        while self._heap and self._heap[0][0] <= until:
            at, _, timer = heapq.heappop(self._heap)
            busy = 0 if at > self.now else busy + 1
            if busy > MOST:
                raise Broken(Rule.IN_TIME, "time stands still: something goes round in a circle")
            self.now = max(self.now, at)
            if not timer.cancelled:
                timer.do()
        self.now = until


class Process:
    """Runs what it was given, one thing after another.

    Stopped, it does later what would have been done meanwhile, timers first or input first. Asleep
    with its machine, it does not even count the time: its timers fire late by as much as it slept.
    """

    def __init__(self, clock: Clock, name: str) -> None:
        self.clock = clock
        self.name = name
        self.alive = True
        self._why: set[str] = set()
        self._slept = 0.0
        self._asleep_at: float | None = None
        self._timers: list[Timer] = []
        self._inputs: deque[Callable[[], None]] = deque()

    @property
    def awake(self) -> bool:
        """Whether it does anything now."""
        return self.alive and not self._why and self._asleep_at is None

    def is_stopped(self, why: str) -> bool:
        return why in self._why

    def later(self, seconds: float, do: Callable[[], None]) -> Timer:
        timer = Timer(self.clock.now + max(0.0, seconds), do, self._slept)
        guarded = Timer(timer.at, lambda: self._fire(timer))
        self.clock.push(guarded)
        return timer

    def _fire(self, timer: Timer) -> None:
        if timer.cancelled or not self.alive:
            return
        if self._asleep_at is not None:
            self._timers.append(timer)
        elif timer.slept < self._slept:
            timer.at += self._slept - timer.slept
            timer.slept = self._slept
            self.clock.push(Timer(max(self.clock.now, timer.at), lambda: self._fire(timer)))
        elif self._why:
            self._timers.append(timer)
        else:
            timer.do()

    def take(self, do: Callable[[], None]) -> None:
        """Input has come: handle it now, or when this goes on and has handled what came before."""
        if self.awake and not self._inputs:
            do()
        elif self.alive:
            self._inputs.append(do)

    def stop(self, why: str = "stop") -> None:
        self._why.add(why)

    def go_on(self, why: str = "stop", *, timers_first: bool = True) -> None:
        self._why.discard(why)
        self._catch_up(timers_first=timers_first)

    def fall_asleep(self) -> None:
        self._asleep_at = self.clock.now

    def wake_up(self) -> None:
        if self._asleep_at is not None:
            self._slept += self.clock.now - self._asleep_at
            self._asleep_at = None
            self._catch_up(timers_first=False)

    def _catch_up(self, *, timers_first: bool) -> None:
        if not self.awake:
            return
        if not timers_first:
            self._handle_inputs()
        timers, self._timers = self._timers, []
        for timer in timers:
            self._fire(timer)
        self._handle_inputs()

    def _handle_inputs(self) -> None:
        while self._inputs and self.awake:
            self._inputs.popleft()()

    def kill(self) -> None:
        self.alive = False
        self._timers.clear()
        self._inputs.clear()
