"""The tutorial's training run: its own cells, on a PC that is restarted in the middle."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.e2e.rig import REPO, SOON

if TYPE_CHECKING:
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


def shut_down(book: Book) -> None:
    """As a machine does in order: each process is asked to end, and the network goes last."""
    agent = book.desktop.named("agent")
    for process in agent:
        process.send_signal(signal.SIGTERM)
    for process in agent:
        process.wait(SOON)
    book.desktop.lose_power()


async def test_the_training_survives_a_restart_of_the_pc(book: Book) -> None:
    data, training = cells()
    assert (await book.notebook.run(data)).target == "pc"
    cell = book.notebook.send(training)
    await cell.shows("step 8:")
    await has_checkpoint(book, 8)
    shut_down(book)
    (book.here / "go on").touch()
    result = await cell.end()
    assert (result.status, result.target) == ("ok", "local")
    # There is no logind on the PC of a test; the tutorial shows what is said where there is one.
    told = result.notices.strip().replace("the agent was stopped", "the machine is shutting down")
    assert told in TUTORIAL.splitlines()

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
    back = await book.notebook.run_on("pc", there, within=3 * SOON)
    assert back.value == "((50,), True)"
