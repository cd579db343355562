"""R's ends of its sessions, as in ``relay_kernel.kernel.targets``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.core import events as ev
from relay_kernel.core.fence import heartbeat
from relay_kernel.core.model import LOCAL
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import (
    Forgot,
    Opened,
    Parted,
    Received,
    Refused,
    SessionEvent,
    Silent,
)
from tests.sim.host import Host
from tests.sim.network import Link
from tests.sim.pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.agent import Machine
    from tests.sim.clock import Timer
    from tests.sim.history import History
    from tests.sim.network import End

BACK_OFF = (0.2, 0.5, 1.0, 2.0, 2.0, 5.0, 5.0, 10.0)
ATTEMPT = 30.0
KEEP = 2.0
#: Seconds that a probe waits for an answer.
PATIENCE = 1.5


@dataclass
class Callbacks:
    """Where a link brings what comes."""

    event: Callable[[ev.Event], None]
    report: Callable[[str, Message], None]


class Target:
    """The link to one target."""

    pump: Pump

    def __init__(self, name: str, history: History, callbacks: Callbacks) -> None:
        self.name = name
        self.history = history
        self.callbacks = callbacks
        self.process = history.r
        self.bulk_source: Callable[[], Message | None] = lambda: None

    def send(self, message: Message) -> None:
        self.pump.send(message)

    def interrupt(self) -> None:
        self.send(Message("interrupt"))

    def discard(self) -> None:
        """Give up the present session."""

    def _new_pump(self, hello: dict[str, Any], beat: float | None) -> Pump:
        def on_event(event: SessionEvent) -> None:
            if self.pump is pump:
                self._on_session(event)

        pump = Pump(self.process, self.history.parts.new_session(hello, beat), on_event)
        pump.bulk_source = lambda: self.bulk_source()
        return pump

    def _on_session(self, event: SessionEvent) -> None:
        if isinstance(event, Received):
            self.callbacks.report(self.name, event.message)


class LocalTarget(Target):
    """``local``: its agent is an object in R's process, its kernel a process of its own."""

    def __init__(self, history: History, callbacks: Callbacks) -> None:
        super().__init__(LOCAL, history, callbacks)
        self.pump = self._new_pump({"session": LOCAL}, None)
        self.host = Host(history.r, LOCAL, history, history.chunks)
        far = history.parts.new_session({"session": LOCAL}, None)
        self.host.attach(Pump(history.r, far, self._on_far))

    def _on_far(self, event: SessionEvent) -> None:
        if isinstance(event, Received):
            self.host.handle(event.message)

    def run(self) -> None:
        link = Link(self.history.lines[0], self.process, self.process, local=True)
        self.pump.run(link.near, lambda reason: None)
        self.host.pump.run(link.far, lambda reason: None)
        self.callbacks.event(ev.TargetOpened(LOCAL))


class RemoteTarget(Target):
    """A PC. Dials again and again; tells a cut link from a lost agent."""

    def __init__(self, machine: Machine, history: History, callbacks: Callbacks) -> None:
        super().__init__(machine.target, history, callbacks)
        self.machine = machine
        policy = history.policy
        self._heartbeat = heartbeat(policy, 1.0)
        self._keep = policy.lost_after * KEEP
        self._opened = False
        self._reason = ""
        self._greeting: dict[str, Any] = {}
        self._tries = 0
        self._attempt: Timer | None = None
        self._renew()

    def _renew(self) -> None:
        self._opened = False
        self.history.sessions += 1
        hello = {
            "session": f"{self.name}-{self.history.sessions}",
            "heartbeat": self._heartbeat,
            "keep": self._keep,
            "resume": False,
        }
        self.pump = self._new_pump(hello, self._heartbeat)

    # ------------------------------------------------------------------ dialling

    def run(self) -> None:
        """Dial; ``_again`` does once more."""
        self._reason = ""
        chance, line = self.history.chance, self.machine.line
        waits = [line.delay * 6, line.delay * 10, 1.0]
        if not self.machine.is_up or not line.passes:
            self.process.later(chance.choice([0.1, 4.0, 8.0]), self._no_answer)
        else:
            self.process.later(chance.choice(waits), self._answered)

    def _no_answer(self) -> None:
        self.callbacks.event(ev.LinkClosed(self.name, "it does not answer"))
        self._again(self._pause())

    def _answered(self) -> None:
        if not self.machine.is_up or not self.machine.line.passes or self.machine.is_asleep:
            self._no_answer()
            return
        agent = self.machine.attach()
        link = self.machine.line.connect(self.process, agent)
        agent.take(lambda: agent.connected(link.far))
        self._speak(link.near)

    def _speak(self, end: End) -> None:
        began = self.process.clock.now

        def over(reason: str) -> None:
            self.callbacks.event(ev.LinkClosed(self.name, self._reason or reason))
            if self.process.clock.now - began > BACK_OFF[-1]:
                self._tries = 0
            self._again(self._pause())

        self.pump.run(end, over)

    def _pause(self) -> float:
        return BACK_OFF[min(self._tries, len(BACK_OFF) - 1)]

    def _again(self, pause: float) -> None:
        self._tries += 1
        self.process.later(pause, self.run)

    # ------------------------------------------------------------------ the session

    def _on_session(self, event: SessionEvent) -> None:
        super()._on_session(event)
        if isinstance(event, Opened):
            self._on_opened(event.hello)
        elif isinstance(event, Refused):
            self._on_refusal(event.fields)
        elif isinstance(event, Parted):
            self._lost(f"it said goodbye: {event.fields.get('reason')}")
        elif isinstance(event, Silent):
            self.history.tally["silent"] += 1
            self._reason = "it went silent"
        elif isinstance(event, Forgot):
            self._lost("its agent has lost its memory of this notebook")

    def _on_opened(self, hello: dict[str, Any]) -> None:
        self._greeting = hello
        resumed, self._opened = self._opened, True
        self.pump.session.hello["resume"] = True
        if resumed:
            self.history.tally["resumed"] += 1
            self.callbacks.event(ev.TargetResumed(self.name))
        else:
            self.history.tally["opened"] += 1
            self.callbacks.event(ev.TargetOpened(self.name))

    def _on_refusal(self, fields: dict[str, Any]) -> None:
        if not self.pump.session.hello["resume"]:
            self.callbacks.event(ev.TargetRefused(self.name, str(fields.get("why"))))
        elif fields.get("boot_id") != self._greeting.get("boot_id"):
            self.history.tally["found rebooted"] += 1
            self._lost("its machine was restarted")
        else:
            self.history.tally["found restarted"] += 1
            self._lost("its agent was restarted")

    def _lost(self, reason: str) -> None:
        self._reason = reason
        self.callbacks.event(ev.TargetLost(self.name, reason))

    def interrupt(self) -> None:
        super().interrupt()
        self.pump.probe(PATIENCE)

    def discard(self) -> None:
        old = self.pump
        self._renew()
        old.close_link()
