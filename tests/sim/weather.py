"""What befalls lines, machines and processes; now and then at just the wrong moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core import effects as ef
from relay_kernel.core.model import Run

if TYPE_CHECKING:
    from tests.sim.agent import Machine
    from tests.sim.clock import Process
    from tests.sim.history import History
    from tests.sim.kernel import Kernel

#: Seconds in which an agent that goes on, or wakes up, sees that its lease has ended.
NOTICES = 2.0


class Weather:
    """Trouble, until :meth:`end`."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.chance = history.chance
        self._on = False
        self._kinds = [
            (self.cut, 4),
            (self.hole, 4),
            (self.stall_agent, 1),
            (self.stall_kernel, 1),
            (self.kill_agent, 1),
            (self.power_loss, 1),
            (self.restart, 1),
            (self.suspend, 1),
            (self.kill_kernel, 2),
            (self.clean_disk, 1),
        ]

    def begin(self) -> None:
        self._on = True
        self._later()

    def _later(self) -> None:
        calm = self.history.wildness.calm
        self.history.clock.call_later(self.chance.expovariate(1 / calm), self._strike_again)

    def _strike_again(self) -> None:
        if self._on:
            self._later()
            self.strike()

    def strike(self) -> None:
        dice = self.chance.random()
        if self.history.is_remote:
            kind = self.chance.choice([self.hole, self.suspend, self.stall_agent])
            kind(self.chance.choice(self.history.machines))
        elif dice < 0.05:
            self.stall_r()
        elif dice < 0.12:
            self.kill_local()
        else:
            kinds, weights = zip(*self._kinds, strict=True)
            machine = self.chance.choice(self.history.machines)
            (kind,) = self.chance.choices(kinds, weights)
            if machine.is_up and not machine.is_asleep:
                kind(machine)

    def on_effect(self, effect: ef.Effect) -> None:
        """Just now would be the wrong moment."""
        spite = self.history.wildness.spite
        delicate = isinstance(effect, ef.Fill) or (
            isinstance(effect, ef.Dispatch) and effect.run is not Run.FIRST
        )
        if self._on and self.chance.random() < (spite if delicate else spite / 8):
            soon = self.chance.choice([0.0, 0.01, 0.06, 0.3, 1.5])
            self.history.clock.call_later(soon, lambda: self._on and self.strike())

    def _happens(self, what: str, machine: Machine | None = None) -> None:
        where = f" at {machine.target}" if machine else ""
        self.history.log(f"**** {what}{where}")
        self.history.tally[what] += 1

    def _seconds(self) -> float:
        """Shorter than a heartbeat, or longer than any lease, or anything between."""
        lost_after = self.history.policy.lost_after
        if self.history.is_remote:
            return self.chance.choice([1.5, 2.5, 4.0]) * lost_after
        return self.chance.choice([0.3, 2.0, 6.0, lost_after, 2.5 * lost_after])

    # ------------------------------------------------------------------ lines

    def cut(self, machine: Machine) -> None:
        self._happens("cut", machine)
        machine.line.cut()

    def hole(self, machine: Machine) -> None:
        if machine.line.holes:
            return
        directions = self.chance.choice([(0, 1), (0, 1), (0,), (1,)])
        self._happens("hole" if len(directions) == 2 else "hole one way", machine)
        machine.line.open_hole(directions)
        self.history.clock.call_later(self._seconds(), machine.line.heal)
        if self.chance.random() < 0.2 and not self.history.is_remote:
            # Nothing is printed any more, so somebody presses stop.
            soon = self.chance.choice([0.01, 0.5, 6.0])
            self.history.clock.call_later(soon, lambda: self._on and self.history.user.interrupt())

    # ------------------------------------------------------------------ processes

    def _stall(self, process: Process) -> None:
        if process.is_stopped("stall"):
            return
        process.stop("stall")
        timers_first = self.chance.random() < 0.5
        self.history.clock.call_later(
            self._seconds(), lambda: self._go_on(process, timers_first=timers_first)
        )

    def _go_on(self, process: Process, *, timers_first: bool) -> None:
        if process.alive and process.is_stopped("stall"):
            self.history.log(f"**** {process.name} goes on")
            self._excuse(process)
            process.go_on("stall", timers_first=timers_first)

    def _excuse(self, agent: Process) -> None:
        """What an agent could not do while it stood still it does within a moment."""
        for kernel in self.history.kernels:
            if kernel.agent is agent:
                kernel.unheld_until = self.history.clock.now + NOTICES
                self.history.clock.call_later(NOTICES, kernel.look)

    def stall_r(self) -> None:
        self._happens("R stalls")
        self._stall(self.history.r)

    def stall_agent(self, machine: Machine) -> None:
        if machine.agent:
            self._happens("agent stalls", machine)
            self._stall(machine.agent)

    def stall_kernel(self, machine: Machine) -> None:
        for kernel in self._kernels(machine):
            self._happens("kernel stalls", machine)
            self._stall(kernel)

    def kill_agent(self, machine: Machine) -> None:
        if machine.agent and machine.agent.alive:
            self._happens("agent killed", machine)
            machine.kill_agent()

    def kill_kernel(self, machine: Machine) -> None:
        for kernel in self._kernels(machine):
            self._happens("kernel killed", machine)
            self.end_kernel(kernel)

    def kill_local(self) -> None:
        kernel = self.history.relay.local.host.kernel
        if kernel:
            self._happens("local kernel killed")
            self.end_kernel(kernel)

    def end_kernel(self, kernel: Kernel) -> None:
        """Its process ends, and its agent is told so by the system."""
        if kernel.busy:
            self.history.tally["kernel killed in a capture"] += 1
        kernel.kill()
        for host in self.history.hosts():
            if host.kernel is kernel:
                host.process.take(lambda host=host: host.kernel is kernel and host.kernel_died())

    def _kernels(self, machine: Machine) -> list[Kernel]:
        agent = machine.agent
        return agent.kernels() if agent and agent.alive else []

    # ------------------------------------------------------------------ machines

    def power_loss(self, machine: Machine) -> None:
        self._happens("power loss", machine)
        machine.go_down()
        self._up_later(machine)

    def restart(self, machine: Machine) -> None:
        self._happens("restart with a goodbye", machine)
        machine.go_down("the machine restarts")
        self._up_later(machine)

    def _up_later(self, machine: Machine) -> None:
        seconds = self.chance.choice([3.0, 15.0, 40.0])
        self.history.clock.call_later(seconds, lambda: self._up(machine))

    def _up(self, machine: Machine) -> None:
        if not machine.is_up:
            self.history.log(f"**** {machine.target} is up again")
            machine.come_up()

    def suspend(self, machine: Machine) -> None:
        """Nobody announces it: the lid, or an agent without D-Bus."""
        agent = machine.agent
        if agent is None or not agent.alive or machine.is_asleep:
            return
        self._happens("suspend", machine)
        machine.line.open_hole((0, 1))
        asleep = machine.processes()
        for process in asleep:
            process.fall_asleep()
        self.history.clock.call_later(self._seconds(), lambda: self._wake(machine, asleep))

    def _wake(self, machine: Machine, asleep: list[Process]) -> None:
        if not any(process._asleep_at is not None for process in asleep):
            return
        self.history.log(f"**** {machine.target} wakes up")
        machine.line.heal()
        for process in asleep:
            self._excuse(process)
        for process in asleep:
            process.wake_up()

    def clean_disk(self, machine: Machine) -> None:
        self._happens("chunks lost", machine)
        machine.chunks.lose(0.5)

    # ------------------------------------------------------------------ the end

    def end(self) -> None:
        """Everything heals."""
        self._on = False
        for machine in self.history.machines:
            if not machine.is_up:
                machine.come_up()
            self._wake(machine, machine.processes())
            machine.line.heal()
        everyone = [self.history.r, *self.history.kernels]
        everyone += [machine.agent for machine in self.history.machines if machine.agent]
        for process in everyone:
            self._go_on(process, timers_first=True)
