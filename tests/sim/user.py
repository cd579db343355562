"""The user: sends cells, one or a whole notebook, presses stop, changes their mind, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Run
from tests.sim.kernel import Program
from tests.sim.oracle import Broken, Rule

if TYPE_CHECKING:
    from tests.sim.history import History

#: Cells without an answer at which a user sends no more.
PATIENCE = 12
#: Seconds in which an interrupt must end a cell whose target is out of reach.
STOPS_WITHIN = 3.0

#: Seconds that cells take, in a notebook of either kind.
BRISK = (0.01, 0.01, 0.1, 0.5, 2.0, 6.0, 20.0)
SLOW = (0.01, 2.0, 20.0, 60.0)


class User:
    """Sits before one notebook."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.chance = history.chance
        self._next = 1
        self._there = False
        self._tempo = SLOW if history.is_remote else self.chance.choice([BRISK, BRISK, SLOW])
        self._targets = [LOCAL, *(machine.target for machine in history.machines)]

    def begin(self) -> None:
        self._there = True
        self._later()

    def _later(self) -> None:
        self.history.clock.call_later(self.chance.expovariate(1 / 5.0), self._act)

    def _act(self) -> None:
        if not self._there:
            return
        self._later()
        waiting = sum(not seen.idle for seen in self.history.oracle.seen.values())
        dice = self.chance.random()
        if dice < (0.01 if self.history.is_remote else 0.12):
            self.interrupt()
        elif waiting < PATIENCE:
            # Run All sends them within one instant.
            for _ in range(self.chance.choice([1, 1, 1, 2, 4, 8])):
                self.send(self._program())

    def _program(self) -> Program:
        chance = self.chance
        program = Program(
            self._next,
            lines=chance.choice([0, 1, 3, 6, 6, 60]),
            seconds=chance.choice(self._tempo),
            raises=chance.random() < 0.06,
            fails_again=chance.random() < 0.1,
            deaf=chance.choice([0.0, 0.0, 0.0, 0.3, 6.0]),
            size=chance.choice([10, 100, 4000, 60000]),
            once=chance.random() < 0.15,
            stops=chance.random() < 0.9,
        )
        dice = chance.random()
        if dice < 0.05:
            program.target = chance.choice([*self._targets, "nowhere"])
        elif dice < 0.10:
            program.directive = ("force", chance.choice([*self._targets, None, None]))
        elif dice < 0.13:
            program.directive = ("on_loss", chance.choice(["rerun", "stop", "ask"]))
        return program

    def send(self, program: Program) -> int:
        history = self.history
        history.programs[program.number] = program
        self._next = program.number + 1
        history.log(f"user sends {program}")
        history.r.take(lambda: history.relay.execute(program.number))
        return program.number

    # ------------------------------------------------------------------ stop

    def interrupt(self) -> None:
        history = self.history
        history.log("user presses stop")
        running, primary = history.relay.router.running, history.relay.router.primary
        history.r.take(history.relay.interrupt)
        if running is None or not history.r.awake or running.run is Run.SILENT:
            return
        target, number = history.relay.links[primary], running.number
        history.tally["interrupt with a cell"] += 1
        heard = target.pump.session.heard_at
        pump = target.pump
        stalls = history.tally["R stalls"]

        def check() -> None:
            """Whoever was not heard of since cannot be what the cell still waits for."""
            silent = target.pump is pump and pump.session.heard_at == heard
            if stalls != history.tally["R stalls"]:
                return
            if silent and target.name != LOCAL and not history.oracle.seen[number].replies:
                raise Broken(Rule.IN_TIME, f"the interrupted cell {number} goes on")

        history.r.later(STOPS_WITHIN, check)

    # ------------------------------------------------------------------ answers

    def asked(self, cell: int) -> None:
        again = self.chance.random() < 0.5
        seconds = self.chance.choice([0.5, 5.0, 40.0, 1e6])
        history = self.history
        if not self._there:
            seconds = min(seconds, 5.0)
        history.tally["never answers" if seconds > 1e5 else f"answers {again}"] += 1
        history.clock.call_later(
            seconds, lambda: history.r.take(lambda: history.relay.answer(cell, again))
        )

    # ------------------------------------------------------------------ the end

    def end(self) -> None:
        """Nothing more is sent; what is asked gets its answer."""
        self._there = False
        relay = self.history.relay
        if relay.asked is not None:
            cell = relay.asked
            self.history.clock.call_later(2.0, lambda: relay.answer(cell, False))

    def look(self) -> int:
        """A cell that does nothing: what it starts from is what there is."""
        self.history.relay.emit(ev.TargetForced(None))
        return self.send(Program(self._next, lines=1, seconds=0.01))
