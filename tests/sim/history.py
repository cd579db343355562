"""One history: a notebook, its user, its machines and what befalls them, told by one number."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from relay_kernel.core import effects as ef
from relay_kernel.core import events as ev
from relay_kernel.core.fence import Fence
from relay_kernel.core.model import LOCAL, Policy, Run
from relay_kernel.core.router import OUT_OF_REACH, Router
from relay_kernel.core.shown import Shown
from relay_kernel.wire import outbox as outbox_module
from relay_kernel.wire import session as session_module
from relay_kernel.wire import window as window_module
from relay_kernel.wire.session import Session
from tests.sim.agent import Machine
from tests.sim.clock import Clock, Process
from tests.sim.host import Chunks
from tests.sim.network import Line
from tests.sim.oracle import Broken, Oracle, Rule
from tests.sim.relay import Relay
from tests.sim.user import User
from tests.sim.weather import Weather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sim.host import Host
    from tests.sim.kernel import Kernel, Program
    from tests.sim.pump import Pump
    from tests.sim.target import RemoteTarget

#: Virtual seconds in which things go wrong.
ROUGH = 100.0
#: Virtual seconds in which a PC is back and filled, over the slowest line, after all has healed.
RETURN = 600.0
#: Virtual seconds that a history of nothing but waiting may still take.
QUIET = 90.0


@dataclass(frozen=True)
class Parts:
    """What is under test; a planted fault takes the place of one of them."""

    router: Callable[..., Router] = Router
    fence: Callable[[], Fence] = Fence
    session: Callable[..., Session] = Session
    shown: Callable[[], Shown] = Shown

    def new_session(self, hello: dict[str, Any], heartbeat: float | None) -> Session:
        """One that has a spool, and soon uses it."""
        session = self.session(hello, heartbeat, MemorySpool())
        session._ordinary._memory = 2000
        return session


class MemorySpool:
    """What a spool does, without a disk."""

    def __init__(self) -> None:
        self._data = bytearray()

    def append(self, data: bytes) -> tuple[int, int]:
        self._data += data
        return len(self._data) - len(data), len(data)

    def read(self, reference: tuple[int, int]) -> bytes:
        at, size = reference
        return bytes(self._data[at : at + size])

    def clear(self) -> None:
        self._data.clear()


@contextmanager
def narrow() -> Iterator[None]:
    """Windows, pieces and blocks so small that what a history sends fills them."""
    with (
        patch.multiple(session_module, ACK_MESSAGES=8, ACK_BYTES=8 << 10),
        patch.multiple(outbox_module, BLOCK=2000),
        patch.multiple(window_module, START=32 << 10, SMALLEST=16 << 10),
        patch.multiple(window_module, PIECE=8 << 10, LONGEST=16 << 10, PIECES=4),
    ):
        yield


@dataclass
class Wildness:
    """How badly things go, in one history."""

    calm: float
    """Mean seconds between two troubles."""
    slow_capture: float
    slow_apply: float
    slow_start: float
    bad_capture: float
    bad_apply: float
    bad_start: float
    dies_at_reply: float
    spite: float
    """How likely trouble comes at just the wrong moment."""

    def end(self) -> None:
        self.bad_capture = self.bad_apply = self.bad_start = self.spite = 0.0
        self.dies_at_reply = 0.0


class History:
    """Everything there is in one history.

    Args:
        seed: tells all of it.
        trace: takes one line for each thing that happens.
        remote: nothing happens but that the PC is out of reach for long; else one in four is so.
    """

    def __init__(
        self,
        seed: int,
        parts: Parts | None = None,
        trace: Callable[[str], None] | None = None,
        *,
        remote: bool = False,
    ) -> None:
        self.seed = seed
        self.parts = parts or Parts()
        self.trace = trace
        self.chance = chance = random.Random(seed)
        self.clock = Clock()
        self.tally: Counter[str] = Counter()
        self.r = Process(self.clock, "R")
        self.kernels: list[Kernel] = []
        self.kernel_ids = self.execution_ids = self.instances = self.sessions = 0
        self.programs: dict[int, Program] = {}
        self.is_remote = remote or chance.random() < 0.25
        self.policy = Policy(
            on_loss="rerun" if self.is_remote else chance.choice(["rerun", "rerun", "stop", "ask"]),
            lost_after=10.0 if self.is_remote else chance.choice([10.0, 15.0, 30.0]),
            wait_at_submit=chance.choice([4.0, 5.0, 8.0]),
        )
        self.policies: set[str | None] = {self.policy.on_loss}
        self.wildness = _remote() if self.is_remote else _wildness(chance)
        self.oracle = Oracle(self)
        self.chunks = Chunks(self)
        names = ["pc"] if chance.random() < 0.7 else ["desk", "pc"]
        self.lines = [self._line() for _ in names]
        self.machines = [
            Machine(self, name, line) for name, line in zip(names, self.lines, strict=True)
        ]
        lateness = random.Random(~seed)
        self.added: dict[Machine, float] = {
            machine: lateness.uniform(0, ROUGH / 2)
            for machine in self.machines
            if not self.is_remote and lateness.random() < 0.15
        }
        """When R comes to know a machine that it does not know from the start."""
        self.edited = [
            lateness.uniform(0, ROUGH) for _ in range(lateness.choice([0, 0, 0, 0, 1, 2]))
        ]
        """When the person names some machines only, or in another order."""
        self._lateness = lateness
        known = [machine for machine in self.machines if machine not in self.added]
        self.relay = Relay(self, self.machines, known)
        self.user = User(self)
        self.weather = Weather(self)
        self._before: tuple[Any, ...] = (None, LOCAL, ())
        self._watched = 0.0
        self._down: dict[str, float] = {}
        """By target: since when R has known its link to be down."""

    def _line(self) -> Line:
        delay = self.chance.choice([0.001, 0.02, 0.3])
        rate = self.chance.choice([30e3, 600e3, 10e6])
        return Line(self.clock, self.chance, delay=delay, rate=rate)

    def log(self, text: str) -> None:
        if self.trace:
            self.trace(f"{self.clock.now:9.3f}  {text}")

    # ------------------------------------------------------------------ the run

    def run(self) -> None:
        """Live through it.

        Raises:
            Broken: a rule was broken.
        """
        self.r.take(self.relay.run)
        self._watch()
        for machine, at in self.added.items():
            self.clock.call_later(at, partial(self._add, machine))
        for at in self.edited:
            self.clock.call_later(at, self._edit)
        self.user.begin()
        self.weather.begin()
        self.clock.run(ROUGH)
        self.log("---- everything heals")
        self.user.end()
        self.weather.end()
        self.wildness.end()
        self.r.take(lambda: self.relay.configure([machine.target for machine in self.machines]))
        self._settle()
        self.check()

    def _add(self, machine: Machine) -> None:
        running = self.relay.router.running
        self.tally["added with a cell" if running else "added"] += 1
        self.r.take(lambda: self.relay.add(machine))

    def _edit(self) -> None:
        names = [machine.target for machine in self.machines]
        some = self._lateness.sample(names, self._lateness.randint(0, len(names)))
        removed = self.relay.router.primary not in (*some, LOCAL)
        self.tally["removed where cells run" if removed else "edited"] += 1
        self.r.take(lambda: self.relay.configure(some))

    def _settle(self) -> None:
        self._wait_until_answered()
        for _ in range(4):
            # The first may be refused, with what is lost.
            number = self.user.look()
            self._wait_until_answered()
            if number in self.oracle.finished:
                break
        else:
            raise Broken(Rule.IN_TIME, "no cell runs any more")
        # The PCs come back and get the state, however slow their lines.
        limit = self.clock.now + RETURN
        while self.clock.now < limit and not self._at_rest():
            self.clock.run(self.clock.now + 2.0)
        self.clock.run(self.clock.now + 2.0)

    def _at_rest(self) -> bool:
        """Whether every kernel holds the state, and nothing is under way."""
        for target in self.relay.router.targets.values():
            if target.starting or (target.kernel and target.applied != self.relay.router.head):
                return False
        for machine, link in zip(self.machines, self.relay.remote, strict=True):
            far = self._far(machine, link)
            if far is None or far.session.backlog or link.pump.session.backlog:
                return False
        return True

    def _far(self, machine: Machine, link: RemoteTarget) -> Pump | None:
        """The agent's end of a session of R, if both are linked."""
        if machine.agent is None or not link.pump.linked:
            return None
        guest = machine.agent.guests.get(link.pump.session.hello["session"])
        return guest.host.pump if guest else None

    def _wait_until_answered(self) -> None:
        seconds = sum(self.programs[n].seconds for n, seen in self.oracle.seen.items())
        limit = self.clock.now + QUIET + 2 * self.policy.lost_after + 2 * seconds
        while any(not (seen.idle and seen.replies) for seen in self.oracle.seen.values()):
            if self.clock.now > limit:
                raise Broken(Rule.IN_TIME, f"unanswered: {self._unanswered()}")
            self.clock.run(self.clock.now + 1.0)
        self.clock.run(self.clock.now + 1.0)

    def _unanswered(self) -> list[int]:
        return [n for n, seen in self.oracle.seen.items() if not (seen.idle and seen.replies)]

    def check(self) -> None:
        """All is over: compare."""
        self.oracle.check_end()
        for machine, link in zip(self.machines, self.relay.remote, strict=True):
            far = self._far(machine, link)
            if far is None:
                raise Broken(Rule.MESSAGES, f"{machine.target} never came back")
            if (link.pump.sent, far.sent) != (far.heard, link.pump.heard):
                text = f"{link.pump.sent} sent, {far.heard} heard; {far.sent}, {link.pump.heard}"
                raise Broken(Rule.MESSAGES, f"{machine.target}: {text}")
        held = {self.relay.kernels[t.name] for t in self.relay.router.targets.values() if t.kernel}
        for kernel in self.kernels:
            state = [number for number, _ in kernel.state]
            if kernel.id in held and state != self.oracle.finished:
                text = f"{kernel.name} holds {state}, not {self.oracle.finished}"
                raise Broken(Rule.STATE, text)

    # ------------------------------------------------------------------ what is watched

    def before(self, event: ev.Event | None) -> None:
        """The router is about to handle an event, or a deadline."""
        router = self.relay.router
        filling = tuple(t.name for t in router.targets.values() if t.filling is not None)
        self._before = (router.running, router.primary, filling)
        if isinstance(event, ev.KernelDied):
            self._count_loss(event.target)
        elif isinstance(event, ev.LinkClosed):
            self._down.setdefault(event.target, self.clock.now)
        elif isinstance(event, ev.TargetOpened | ev.TargetResumed):
            self._down.pop(event.target, None)

    def _watch(self) -> None:
        """A cell on a target that is out of reach is not left there for ever."""
        self.r.later(1.0, self._watch)
        late, self._watched = self.clock.now - self._watched > 1.5, self.clock.now
        running, primary = self.relay.router.running, self.relay.router.primary
        if late or running is None or primary not in self._down:
            # R itself stood still, or all is well.
            return
        since = max(self.relay.cells[running.number].sent_at, self._down[primary])
        if self.clock.now > since + self.policy.lost_after + 1.5:
            raise Broken(Rule.IN_TIME, f"cell {running.number} is left on {primary}")

    def performed(self, effect: ef.Effect) -> None:
        """R is about to do something."""
        if isinstance(effect, ef.Discard):
            self._count_loss(effect.target)
            if self.relay.router.targets[effect.target].reason == OUT_OF_REACH:
                self.tally["interrupted out of reach"] += 1
                for kernel in self.kernels:
                    kernel.released |= kernel.target == effect.target
        elif isinstance(effect, ef.Dispatch):
            self.tally[f"run {effect.run.value}"] += 1
            self.tally[f"run on {'local' if effect.target == LOCAL else 'a PC'}"] += 1
        else:
            self.tally[type(effect).__name__] += 1
        self.weather.on_effect(effect)

    def _count_loss(self, target: str) -> None:
        running, primary, filling = self._before
        where = "local" if target == LOCAL else "a PC"
        self.tally[f"lost {where}"] += 1
        if target in filling:
            self.tally[f"lost {where} in a fill"] += 1
        if target == primary and running:
            self.tally[f"lost {where} with a cell"] += 1
            if running.run is not Run.FIRST:
                self.tally["lost in a repeat"] += 1

    def hosts(self) -> list[Host]:
        """All that own kernels now."""
        agents = [m.agent for m in self.machines if m.agent and m.agent.alive]
        guests = [guest.host for agent in agents for guest in agent.guests.values()]
        return [self.relay.local.host, *guests]

    def asked(self, cell: int) -> None:
        """R asks the user."""
        self.user.asked(cell)


def _remote() -> Wildness:
    return Wildness(
        calm=15.0,
        slow_capture=0.1,
        slow_apply=0.1,
        slow_start=0.3,
        bad_capture=0.0,
        bad_apply=0.0,
        bad_start=0.0,
        dies_at_reply=0.0,
        spite=0.0,
    )


def _wildness(chance: random.Random) -> Wildness:
    def sometimes(rate: float) -> float:
        return rate if chance.random() < 0.4 else 0.0

    return Wildness(
        calm=chance.choice([4.0, 8.0, 20.0]),
        slow_capture=chance.choice([0.1, 1.0, 10.0]),
        slow_apply=chance.choice([0.1, 1.0, 5.0]),
        slow_start=chance.choice([0.3, 1.0, 5.0]),
        bad_capture=sometimes(0.2),
        bad_apply=sometimes(0.1),
        bad_start=sometimes(0.2),
        dies_at_reply=sometimes(0.02),
        spite=chance.choice([0.0, 0.05, 0.2]),
    )
