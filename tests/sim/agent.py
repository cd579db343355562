"""The process on a PC, as ``relay_kernel.agent.server`` has it, and the PC that it lives on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.wire import frames
from relay_kernel.wire.frames import Decoder, Note, Type
from relay_kernel.wire.session import Answered, Parted, Received, SessionEvent
from tests.sim.clock import Process
from tests.sim.host import Chunks, Host
from tests.sim.pump import Pump

if TYPE_CHECKING:
    from tests.sim.history import History
    from tests.sim.kernel import Kernel
    from tests.sim.network import End, Line

#: As in ``server.py``.
GREETING = 10.0
TICK = 5.0
#: Seconds in which the kernel of an agent that was killed notices that, and ends.
ORPHAN = 1.0


@dataclass
class Guest:
    """One notebook's session and its kernel."""

    id: str
    keep: float
    host: Host
    left_at: float | None = None


class Agent(Process):
    """``relay agent``, one process."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.history.clock, f"agent at {machine.target}")
        machine.history.instances += 1
        self.machine = machine
        self.history = machine.history
        self.guests: dict[str, Guest] = {}
        self.about = {"instance": str(machine.history.instances), "boot_id": machine.boot_id}
        self.later(TICK, self._sweep)

    # ------------------------------------------------------------------ links

    def connected(self, end: End) -> None:
        """A link came; its greeting says whose it is."""
        decoder = Decoder()
        done = False

        def on_data(data: bytes) -> None:
            nonlocal done
            for frame in decoder.feed(data):
                if not done and isinstance(frame, Note) and frame.type is Type.HELLO:
                    done = True
                    self._greeted(end, frame.fields)

        def on_timeout() -> None:
            if not done:
                end.close()

        end.incoming.on_data = on_data
        end.incoming.on_end = end.close
        self.later(GREETING, on_timeout)

    def _greeted(self, end: End, hello: dict[str, Any]) -> None:
        guest = self._find(hello)
        if guest is None:
            refusal = {**self.about, "why": "unknown session"}
            end.write([frames.note(Type.REFUSE, refusal)])
            end.close()
            return
        guest.left_at = None

        def over(reason: str) -> None:
            if not guest.host.pump.linked:
                guest.left_at = self.clock.now

        guest.host.pump.run(end, over, hello=hello)

    def _find(self, hello: dict[str, Any]) -> Guest | None:
        name = hello["session"]
        if name in self.guests:
            return self.guests[name]
        if hello["resume"]:
            return None
        for old in list(self.guests.values()):
            self.dismiss(old)
        host = Host(self, self.machine.target, self.history, self.machine.chunks)
        session = self.history.parts.new_session(
            {**self.about, "session": name}, hello["heartbeat"]
        )
        host.attach(Pump(self, session, lambda event: self._on_event(name, event)))
        self.guests[name] = Guest(name, hello["keep"], host)
        return self.guests[name]

    def _on_event(self, name: str, event: SessionEvent) -> None:
        guest = self.guests.get(name)
        if guest is None:
            return
        if isinstance(event, Received):
            guest.host.handle(event.message)
        elif isinstance(event, Answered):
            guest.host.renew(event.sent)
        elif isinstance(event, Parted):
            self.dismiss(guest)

    # ------------------------------------------------------------------ ends

    def dismiss(self, guest: Guest) -> None:
        self.guests.pop(guest.id, None)
        guest.host.pump.close_link()
        guest.host.stop_kernel()

    def _sweep(self) -> None:
        for guest in list(self.guests.values()):
            if guest.left_at is not None and self.clock.now - guest.left_at > guest.keep:
                self.history.tally["guest swept"] += 1
                self.dismiss(guest)
        self.later(TICK, self._sweep)

    def part(self, reason: str) -> None:
        """Say goodbye to everybody, and end."""
        for guest in list(self.guests.values()):
            guest.host.pump.part(reason)
            self.dismiss(guest)
        self.kill()

    def kernels(self) -> list[Kernel]:
        return [guest.host.kernel for guest in self.guests.values() if guest.host.kernel]


class Machine:
    """A PC: its agent, its kernels, its disk, its power and its line."""

    def __init__(self, history: History, target: str, line: Line) -> None:
        self.history = history
        self.target = target
        self.line = line
        self.chunks = Chunks(history)
        self.boots = 0
        self.is_up = True
        self.agent: Agent | None = None

    @property
    def boot_id(self) -> str:
        return f"{self.target}-{self.boots}"

    @property
    def is_asleep(self) -> bool:
        return self.agent is not None and self.agent._asleep_at is not None

    def attach(self) -> Agent:
        """The agent; it is started where there is none."""
        if self.agent is None or not self.agent.alive:
            self.agent = Agent(self)
        return self.agent

    def kill_agent(self) -> None:
        """Only the agent dies; its kernels notice."""
        agent = self.agent
        if agent is None or not agent.alive:
            return
        for kernel in agent.kernels():
            kernel.orphan = True
            self.history.tally["orphan"] += 1
            delay = self.history.chance.uniform(0, ORPHAN)
            self.history.clock.call_later(delay, kernel.kill)
        for guest in agent.guests.values():
            guest.host.pump.close_link()
        agent.kill()

    def go_down(self, goodbye: str = "") -> None:
        """The machine ends, with or without a word."""
        agent, self.is_up = self.agent, False
        if agent and agent.alive:
            if goodbye and agent.awake:
                agent.part(goodbye)
            else:
                self.line.forsake()
            for kernel in agent.kernels():
                kernel.kill()
            agent.kill()
        self.agent = None
        self.history.clock.call_later(0.2, self.line.forsake)

    def come_up(self) -> None:
        self.boots += 1
        self.is_up = True

    def processes(self) -> list[Process]:
        return [self.agent, *self.agent.kernels()] if self.agent else []
