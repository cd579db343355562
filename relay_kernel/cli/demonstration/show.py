"""The demo itself: one notebook, a PC whose plug is pulled, and the proof that nothing was lost."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from relay_kernel.cli.demonstration.compare import Run, differences
from relay_kernel.cli.demonstration.notebook import CELLS, RETURN, TRAINING
from relay_kernel.cli.demonstration.pc import LOST_AFTER, NAME, Pc
from relay_kernel.cli.demonstration.player import Played, Player, kernel
from relay_kernel.cli.demonstration.stage import StageError
from relay_kernel.cli.status import collect
from relay_kernel.core.model import LOCAL
from relay_kernel.settings.config import KernelConfig

if TYPE_CHECKING:
    from relay_kernel.cli.demonstration.screen import Screen
    from relay_kernel.cli.demonstration.stage import Stage

#: Lines of the long cell after which the plug is pulled.
PLUG_AFTER = 5

#: Seconds for the PC to be ready: the server dials it anew every few seconds, then fills it.
READY_TIMEOUT = 40.0

_POLL = 0.05


class Show:
    """One run of the demo on a stage."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        """Prepare it; :meth:`run` runs it."""
        self._stage = stage
        self._screen = screen
        self._pc = Pc(stage)
        self._cells: list[Played] = []
        self._differences: list[str] = []

    async def run(self) -> bool:
        """Run it from the beginning to the end.

        Returns:
            Whether the notebook ended as it does without relay.

        Raises:
            RelayError: Something did not start, or did not end; says what.
        """
        self._introduce()
        try:
            with self._screen.waiting(
                "Switching on the PC: an SSH server with one key of its own."
            ):
                await self._pc.start()
            self._pc.pair()
            async with kernel(self._stage.server, self._stage.kernels, "relay") as player:
                return await self._act(player)
        finally:
            await self._pc.stop()

    def as_json(self) -> dict[str, Any]:
        """How the run ended: whether equal to one kernel, what differs, and the cells."""
        cells = [
            {
                "cell": number,
                "title": played.title,
                "target": played.target,
                "again": played.again,
                "seconds": round(played.seconds, 3),
            }
            for number, played in enumerate(self._cells, 1)
        ]
        different = self._differences
        return {"equal": not different, "differences": different, "cells": cells}

    def _introduce(self) -> None:
        say = self._screen.say
        say("A server and a PC, both pretended on this machine, in one temporary folder.", "bold")
        self._screen.note(f"{LOCAL} is the server: always there. {NAME} is the PC: faster, until")
        self._screen.note("somebody pulls its plug. One notebook trains a small model on them.")

    async def _act(self, player: Player) -> bool:
        screen = self._screen
        with screen.waiting("Opening the notebook on the server, which looks for the PC by SSH."):
            await self._wait_ready(0)
        screen.say("The PC is there, with a kernel of its own: cells run on it from now on.")
        await self._play(player, range(TRAINING))
        await self._lose_the_pc(player)
        screen.say("The notebook goes on: the next cells run on the server.")
        await self._play(player, range(TRAINING + 1, RETURN))
        plain = asyncio.create_task(self._run_plain())
        try:
            await self._bring_back()
            await self._play(player, range(RETURN, len(CELLS)))
            relayed = Run(self._cells, await player.find())
            with screen.waiting("Comparing all of it with one ordinary kernel."):
                ordinary = await plain
            return self._judge(relayed, ordinary)
        finally:
            plain.cancel()
            await asyncio.gather(plain, return_exceptions=True)

    async def _play(self, player: Player, numbers: range) -> None:
        for number in numbers:
            played = await player.play(CELLS[number])
            self._cells.append(played)
            self._screen.cell(number + 1, played)
            for notice in played.notices:
                self._screen.note(f"relay says: {notice}")

    # ------------------------------------------------------------------ loss and return

    async def _lose_the_pc(self, player: Player) -> None:
        """Run the long cell, and pull the plug in the middle of it."""
        self._screen.say(f"Cell {TRAINING + 1} takes a few seconds. It trains on the PC:")
        enough = asyncio.Event()
        first_run = 0

        def on_text(text: str, played: Played) -> None:
            nonlocal first_run
            self._screen.output(text)
            if not played.notices:
                first_run = _lines(played)
            if first_run >= PLUG_AFTER:
                enough.set()

        playing = asyncio.create_task(player.play(CELLS[TRAINING], on_text=on_text))
        playing.add_done_callback(lambda _: enough.set())
        try:
            await enough.wait()
            if playing.done():
                await playing
                raise StageError("the long cell ended before the plug was pulled; try it again")
            began, safe = await self._pull_plug()
            played = await playing
        finally:
            playing.cancel()
        self._cells.append(played)
        # All cells after the last safe one run again, where they are lost.
        for cell in self._cells[safe:]:
            cell.again = played.target != NAME
        self._screen.cell(TRAINING + 1, played)
        self._explain(played, time.monotonic() - began, first_run, safe)

    async def _pull_plug(self) -> tuple[float, int]:
        """Pull it; return when that was, and the last cell that was safe then."""
        began = time.monotonic()
        killed = await self._pc.pull_plug()
        self._screen.say("PULLED THE PLUG ON THE PC, IN THE MIDDLE OF THE CELL", "bold red")
        self._screen.note(f"{killed} processes are dead without a goodbye: SSH, agent, kernel.")
        default = KernelConfig.lost_after
        self._screen.note(
            f"The server hopes for a sign of life for {LOST_AFTER:g} s "
            f"(lost_after: here {LOST_AFTER:g} s, by default {default:g} s)."
        )
        return began, max((notebook["safe_cell"] for notebook in self._notebooks()), default=0)

    def _explain(self, played: Played, seconds: float, first_run: int, safe: int) -> None:
        note = self._screen.note
        note(f"The cell ended on the server, {seconds:.1f} s after the plug was pulled.")
        note(f"It began again from the variables after cell {safe}, which were safe there.")
        note(f"The {first_run} lines above relay's own are from the PC. They came again, and are")
        note(f"not shown twice; the {_lines(played) - first_run} below it are from the server.")

    async def _bring_back(self) -> None:
        """Switch the PC on again, and wait until it holds the state."""
        began = time.monotonic()
        with self._screen.waiting("Switching the PC on again. The server finds it by itself."):
            self._screen.note("Meanwhile one ordinary kernel runs the same notebook, to compare.")
            await self._pc.start()
            await self._wait_ready(len(self._cells))
        seconds = time.monotonic() - began
        self._screen.say(f"The PC holds all variables again, {seconds:.1f} s later.")

    async def _wait_ready(self, cells: int) -> None:
        """Wait until the PC holds the state after so many cells."""
        deadline = time.monotonic() + READY_TIMEOUT
        # The status is a file, as ``relay status`` reads it: there is no event to wait for.
        while not self._ready(cells):
            if time.monotonic() > deadline:
                why = self._stage.server.last_words()
                raise StageError(f"the PC was not ready in {READY_TIMEOUT:g} s: {why}")
            await asyncio.sleep(_POLL)

    def _ready(self, cells: int) -> bool:
        phase = collect(self._stage.server.places)["targets"][NAME]["phase"]
        applied = [
            notebook["standby"].get(NAME, {}).get("applied_cell", -1)
            for notebook in self._notebooks()
        ]
        return phase == "ready" and applied == [cells]

    def _notebooks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = collect(self._stage.server.places)["kernels"]
        return found

    # ------------------------------------------------------------------ comparison

    async def _run_plain(self) -> Run:
        stage = self._stage
        async with kernel(stage.plain, stage.kernels, "python3") as player:
            cells = [await player.play(cell) for cell in CELLS]
            return Run(cells, await player.find())

    def _judge(self, relayed: Run, ordinary: Run) -> bool:
        screen = self._screen
        screen.table(self._cells)
        different = self._differences = differences(relayed, ordinary)
        if different:
            screen.say("NOT EQUAL to one ordinary kernel:", "bold red")
            for line in different:
                screen.note(line, "red")
            return False
        screen.say("EQUAL to one ordinary kernel that never moved, down to the last bit:", "bold")
        screen.note(f"{len(relayed.variables)} variables: {', '.join(relayed.variables)}")
        screen.note("which names share an object, what the functions do, In, Out, _, the count,")
        screen.note(f"the random generators, and everything that the {len(CELLS)} cells show.")
        return True


def _lines(played: Played) -> int:
    return len(played.text.get("stdout", "").splitlines())
