"""What happens to a line and to the processes at its ends while a notebook runs."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING

import psutil

from relay_kernel.cli.status import collect
from relay_kernel.settings.paths import find_places
from tests.e2e.rig import processes_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.e2e.rig import Pc
    from tests.net.lab import Lab


class Weather:
    """One fault after another, each healed before the next; told by a seed.

    Attributes:
        tally: How often each kind came.
    """

    def __init__(self, seed: int, lab: Lab, pc: Pc) -> None:
        self.tally: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._lab = lab
        self._line = lab.line
        self._pc = pc
        self._kinds: list[Callable[[], Awaitable[str]]] = [
            self._hole,
            self._hole,
            self._poor,
            self._cut,
            self._kill,
            self._kill,
            self._freeze,
            self._freeze,
            self._power_loss,
        ]

    async def blow(self) -> None:
        """Until cancelled; heals then as well."""
        try:
            while True:
                await asyncio.sleep(self._rng.uniform(0.1, 0.9))
                self.tally[await self._rng.choice(self._kinds)()] += 1
        finally:
            self.heal()

    def heal(self) -> None:
        """All is well."""
        self._line.hole = False
        self._line.loss = 0.0
        self._line.rate = None
        self._pc.thaw()
        for process in self._server_side():
            _signal(process, signal.SIGCONT)
        if not self._pc.sshd.is_running:
            self._boot()

    # ------------------------------------------------------------------ the line

    async def _hole(self) -> str:
        """Packets vanish, for less or more than ``lost_after``."""
        is_long = self._rng.random() < 0.4
        self._line.hole = True
        await asyncio.sleep(self._rng.uniform(3.0, 6.0) if is_long else self._rng.uniform(0.2, 2.0))
        self._line.hole = False
        return "long hole" if is_long else "short hole"

    async def _poor(self) -> str:
        self._line.loss, self._line.rate = 0.1, 100e3
        await asyncio.sleep(self._rng.uniform(1.0, 3.0))
        self._line.loss, self._line.rate = 0.0, None
        return "poor line"

    async def _cut(self) -> str:
        self._pc.sshd.kill_connections()
        return "cut"

    # ------------------------------------------------------------------ processes

    def _server_side(self) -> list[psutil.Process]:
        """The hub, R and A."""
        return processes_of(find_places().config.parent)

    def _pick(self) -> tuple[str, list[psutil.Process]]:
        """One kind of process, and those of that kind."""
        server = self._server_side()
        everybody = {
            "B": self._pc.named("ipykernel_launcher"),
            "agent": [p for p in self._pc.named("agent") if "--attach" not in _command(p)],
            "attach": self._pc.named("--attach"),
            "hub": [p for p in server if "hub" in _command(p)],
            "A": [p for p in server if "ipykernel_launcher" in _command(p)],
            "R": [p for p in server if "relay_kernel" in _command(p)],
        }
        kind = self._rng.choice([name for name, found in everybody.items() if found])
        return kind, everybody[kind]

    async def _kill(self) -> str:
        kind, found = self._pick()
        if kind == "R" or (kind == "A" and not _away()):
            # R is the notebook's kernel: its death is Jupyter's to deal with. And a cell that
            # kills the server's own kernel is not run again.
            return "spared"
        for process in found:
            _signal(process, signal.SIGKILL)
        return f"killed {kind}"

    async def _freeze(self) -> str:
        kind, found = self._pick()
        for process in found:
            _signal(process, signal.SIGSTOP)
        await asyncio.sleep(self._rng.choice([0.3, 1.0, 2.0, 4.5]))
        for process in found:
            _signal(process, signal.SIGCONT)
        return f"froze {kind}"

    async def _power_loss(self) -> str:
        self._pc.lose_power()
        await asyncio.sleep(self._rng.uniform(0.5, 4.0))
        self._boot()
        return "power loss"

    def _boot(self) -> None:
        with self._lab.pc.here():
            self._pc.boot()


def _away() -> bool:
    """Whether the PC runs the cells, and will go on to."""
    report = collect(find_places())
    ready = report["targets"]["pc"]["phase"] == "ready"
    return ready and all(kernel["primary"] == "pc" for kernel in report["kernels"])


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
