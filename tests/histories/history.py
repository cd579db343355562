"""One history: a notebook of 30 cells between two machines whose line and processes misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.rig import Notebook
from tests.histories.play import Seen, play
from tests.histories.script import write
from tests.histories.weather import Weather
from tests.net.lab import Lab
from tests.net.notebook import over

#: Seconds after which a cut-off PC is lost: short, so that histories are.
SETTINGS = {"lost_after": 2.5, "wait_at_submit": 1.0, "heartbeat": 0.25}


@dataclass
class Outcome:
    """What became of one history.

    Attributes:
        differences: A line for each cell that does not look as in one ipykernel.
        tally: How often each kind of weather came, and how often each target ran a cell.
    """

    seed: int
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)


async def reference(seed: int) -> list[Seen]:
    """The script of ``seed``, played by one ipykernel."""
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        async with Notebook(Path(folder), "python3") as notebook:
            return await play(notebook, write(seed))


async def live(seed: int, *, logs: Path | None = None) -> Outcome:
    """Play the script of ``seed`` over R, in the weather of ``seed``, and compare.

    Args:
        seed: Tells all that is random.
        logs: Where to copy R's and the hub's logs if it goes wrong.
    """
    outcome = Outcome(seed)
    wanted = await reference(seed)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="history-")))
        if logs:
            said = folder / "home" / "log"
            stack.callback(lambda: outcome.differences and shutil.copytree(said, logs))
        lab = stack.enter_context(Lab())
        lab.line.delay = random.Random(seed).choice([0.0, 0.005, 0.02])
        notebook, pc = await stack.enter_async_context(over(lab, folder, **SETTINGS))
        began = time.monotonic()
        seen = await _play(Weather(seed, lab, pc), notebook, outcome)
        outcome.seconds = time.monotonic() - began
        codes = [code for burst in write(seed) for code in burst]
        for number, (code, want, got) in enumerate(zip(codes, wanted, seen, strict=bool(seen)), 1):
            if want != got:
                outcome.differences.append(
                    f"seed {seed}, cell {number}: {code!r}\n  wanted {want}\n  seen   {got}"
                )
    return outcome


async def _play(weather: Weather, notebook: Notebook, outcome: Outcome) -> list[Seen]:
    blowing = asyncio.ensure_future(weather.blow())
    try:
        think = random.Random(outcome.seed)
        return await play(
            notebook, write(outcome.seed), outcome.tally, lambda: think.choice([0, 0, 0.3, 1.5])
        )
    except AssertionError as error:
        outcome.differences.append(f"seed {outcome.seed}: {error}")
        return []
    finally:
        blowing.cancel()
        await asyncio.gather(blowing, return_exceptions=True)
        outcome.tally += weather.tally


def run(seed: int, *, logs: Path | None = None) -> Outcome:
    """:func:`live` with a loop of its own."""
    return asyncio.run(live(seed, logs=logs))


def attempt(seed: int, logs: Path | None) -> Outcome:
    """One history; what it raises is a difference."""
    try:
        return run(seed, logs=logs / str(seed) if logs else None)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = next(frame for frame in reversed(frames) if "/tests/" in frame.filename)
        what = f"{type(error).__name__}: {error} at {ours.name}, line {ours.lineno}: {ours.line}"
        return Outcome(seed, differences=[f"seed {seed}: {what}"])
