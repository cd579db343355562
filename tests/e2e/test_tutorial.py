"""The tutorial's training run: its own cells, on a PC that is restarted in the middle."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.agent.logind import Bus, Logind
from tests.e2e.rig import REPO, SOON
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.book import Book

pytestmark = pytest.mark.sshd

TUTORIAL = (REPO / "docs" / "tutorial.md").read_text(encoding="utf-8")

#: In place of the pause after each step: it stands after the eighth until it may go on.
STAND = 'while step == 8 and not os.path.exists("go on"): time.sleep(0.02)'

STEPS = 120


def cells() -> list[str]:
    """The code that the tutorial has people run in a notebook."""
    data, training = re.findall(r"^```python\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)
    assert f"STEPS = {STEPS}" in data
    assert "time.sleep(1)" in training
    return [data, training.replace("time.sleep(1)", STAND)]


async def has_checkpoint(book: Book, done: int) -> None:
    """Wait until the server has the checkpoint of a step."""
    path = book.here / "checkpoint.npz"
    async with asyncio.timeout(SOON):
        while not path.exists() or int(np.load(path)["done"]) < done:
            await asyncio.sleep(0.02)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    """The PC's system bus."""
    with Bus(tmp_path) as bus:
        yield bus


@pytest.fixture
def logind(bus: Bus) -> Iterator[Logind]:
    """A stand-in for what tells the PC's programs that it shuts down."""
    with Logind(bus) as logind:
        yield logind


@pytest.fixture
def pc(tmp_path: Path, bus: Bus, logind: Logind) -> Iterator[Sshd]:
    """A PC with that bus, in place of the usual one."""
    with Sshd(tmp_path / "pc", env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address}) as sshd:
        yield sshd


async def test_the_training_survives_a_restart_of_the_pc(book: Book, logind: Logind) -> None:
    data, training = cells()
    assert await asyncio.to_thread(logind.taken_anew, 1)
    assert (await book.notebook.run(data)).target == "pc"
    cell = book.notebook.send(training)
    await cell.shows("step 8:")
    await has_checkpoint(book, 8)
    logind.announce("PrepareForShutdown", begins=True)
    (book.here / "go on").touch()
    result = await cell.end()
    book.desktop.lose_power()
    assert (result.status, result.target) == ("ok", "local")
    assert result.notices.strip() in TUTORIAL.splitlines()

    steps = [int(step) for step in re.findall(r"^step (\d+):", result.text(), re.MULTILINE)]
    assert steps == list(range(1, STEPS + 1))
    assert result.text().count("going on after step 8\n") == 1

    # The weights are those of a training that nobody disturbed.
    assert (await book.notebook.run("kept = weights")).status == "ok"
    (book.here / "checkpoint.npz").unlink()
    undisturbed = await book.notebook.run(training)
    assert "going on" not in undisturbed.text()
    same = await book.notebook.run("bool((kept == weights).all())")
    assert (same.value, same.target) == ("True", "local")

    book.desktop.boot()
    there = "weights.shape, os.path.exists('checkpoint.npz')"
    # A machine that was just started is slow where others are busy.
    back = await book.notebook.run_on("pc", there, within=SOON)
    assert back.value == "((50,), True)"
