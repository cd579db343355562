"""The PC goes away in the middle of things, and comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from relay_kernel.settings.paths import find_places
from tests.e2e.rig import Notebook, Result, processes_of
from tests.processes import ended, lives

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.rig import Pc

pytestmark = pytest.mark.sshd

SLOW = """
import time
total = globals().get("total", 0)
for step in range(30):
    total += step
    print("step", step, flush=True)
    time.sleep(0.1)
"""
LINES = "".join(f"step {step}\n" for step in range(30))


async def test_a_blip_loses_no_line_and_doubles_none(notebook: Notebook, desktop: Pc) -> None:
    cell = notebook.send(SLOW)
    await cell.shows("step 5")
    assert desktop.sshd.kill_connections()
    result = await cell.end()
    assert result.text() == LINES
    assert result.target == "pc"
    assert result.notices == ""
    assert (await notebook.run("total")).value == str(sum(range(30)))


async def test_a_pc_that_loses_power_is_replaced_by_the_server(
    notebook: Notebook, desktop: Pc
) -> None:
    await notebook.run("total = 1000; kept = {'a': [1, 2]}")
    cell = notebook.send(SLOW)
    await cell.shows("step 5")
    desktop.lose_power()
    result = await cell.end()
    assert (result.status, result.target) == ("ok", "local")
    assert result.text() == LINES
    assert "pc was lost" in result.notices
    after = await notebook.run("total, kept")
    assert after.value == str((1000 + sum(range(30)), {"a": [1, 2]}))
    assert after.target == "local"

    desktop.boot()
    back = await notebook.run_on("pc", "kept['a'].append(total); kept")
    assert back.value == str({"a": [1, 2, 1000 + sum(range(30))]})


async def test_a_kernel_that_is_killed_is_lost_at_once(notebook: Notebook, desktop: Pc) -> None:
    await notebook.run("total = 1")
    cell = notebook.send(SLOW)
    await cell.shows("step 5")
    desktop.kill_kernel()
    result = await cell.end()
    assert result.text() == LINES
    assert "signal 9" in result.notices
    assert (await notebook.run_on("pc", "total")).value == str(1 + sum(range(30)))


async def test_a_frozen_pc_is_lost_and_what_it_says_later_is_not_believed(
    notebook: Notebook, desktop: Pc
) -> None:
    await notebook.run("total = 5")
    cell = notebook.send(SLOW)
    await cell.shows("step 5")
    desktop.freeze()
    result = await cell.end()
    assert (result.target, result.text()) == ("local", LINES)
    await notebook.run("total = 7")
    desktop.thaw()
    assert (await notebook.run_on("pc", "total")).value == "7"


async def test_lost_between_cells_the_next_cell_goes_on_here(
    notebook: Notebook, desktop: Pc
) -> None:
    await notebook.run("x = [1]; y = x")
    desktop.lose_power()
    result = await notebook.run("y.append(2); x")
    assert (result.target, result.value) == ("local", "[1, 2]")


async def test_run_all_goes_on_behind_the_lost_cell(notebook: Notebook, desktop: Pc) -> None:
    cells = [notebook.send(code) for code in ("a = 1", SLOW, "a += total", "a")]
    await cells[1].shows("step 3")
    desktop.lose_power()
    results = [await cell.end() for cell in cells]
    assert [result.status for result in results] == ["ok"] * 4
    assert results[3].value == str(1 + sum(range(30)))
    assert [result.target for result in results[1:]] == ["local"] * 3


async def test_a_queued_error_still_aborts_what_follows(notebook: Notebook, desktop: Pc) -> None:
    cells = [notebook.send(code) for code in (SLOW, "1/0", "never = 1")]
    await cells[0].shows("step 3")
    desktop.lose_power()
    results = [await cell.end() for cell in cells]
    assert [result.status for result in results] == ["ok", "error", "aborted"]
    assert (await notebook.run("'never' in globals()")).value == "False"


async def test_an_interrupt_reaches_a_cell_on_the_pc(notebook: Notebook) -> None:
    cell = notebook.send(SLOW)
    await cell.shows("step 2")
    await notebook.manager.interrupt_kernel()
    result = await cell.end(within=5)
    assert result.reply["content"]["ename"] == "KeyboardInterrupt"
    assert (await notebook.run("step < 29")).value == "True"


async def test_an_interrupt_ends_a_cell_that_is_out_of_reach(
    notebook: Notebook, desktop: Pc
) -> None:
    await notebook.run("total = 3")
    cell = notebook.send(SLOW)
    await cell.shows("step 2")
    desktop.freeze()
    # The link is known to be dead after four heartbeats.
    async with asyncio.timeout(10):
        while (await status(notebook)) != "quiet":
            await asyncio.sleep(0.05)
    await notebook.manager.interrupt_kernel()
    result = await cell.end(within=2)
    assert result.reply["content"]["ename"] == "KeyboardInterrupt"
    assert (await notebook.run("total")).value == "3"


async def status(notebook: Notebook) -> str:
    """The phase of the PC as ``relay status`` tells it."""
    from relay_kernel.cli.status import collect

    return str(collect(find_places())["targets"]["pc"]["phase"])


class TestOnLoss:
    """Chosen in the notebook itself."""

    async def lose(self, notebook: Notebook, desktop: Pc, code: str = SLOW) -> list[Result]:
        await notebook.run("total = 4")
        cells = [notebook.send(code), notebook.send("behind = 1")]
        await cells[0].shows("step 5")
        desktop.lose_power()
        return [await cell.end() for cell in cells]

    async def test_asked_and_yes(self, notebook: Notebook, desktop: Pc) -> None:
        prompts = []
        notebook.stdin = lambda message: prompts.append(message["content"]["prompt"]) or "yes"
        await notebook.run("%relay on_loss ask")
        lost, behind = await self.lose(notebook, desktop)
        (prompt,) = prompts
        assert prompt.startswith("[relay] pc was lost (")
        assert prompt.endswith("Run again what was lost? [y/N] ")
        assert (lost.status, lost.target, lost.text()) == ("ok", "local", LINES)
        assert behind.status == "ok"
        assert (await notebook.run("total")).value == str(4 + sum(range(30)))

    async def test_asked_and_no(self, notebook: Notebook, desktop: Pc) -> None:
        notebook.stdin = lambda message: ""
        await notebook.run("%relay on_loss ask")
        lost, behind = await self.lose(notebook, desktop)
        assert lost.reply["content"]["ename"] == "RelayTargetLost"
        assert behind.status == "aborted"
        assert (await notebook.run("total")).value == "4"

    async def test_a_front_end_that_cannot_be_asked(self, notebook: Notebook, desktop: Pc) -> None:
        await notebook.run("%relay on_loss ask")
        cell = notebook.send(SLOW, allow_stdin=False)
        await cell.shows("step 5")
        desktop.lose_power()
        assert (await cell.end()).reply["content"]["ename"] == "RelayTargetLost"

    async def test_an_interrupt_ends_the_question(self, notebook: Notebook, desktop: Pc) -> None:
        asked = asyncio.Event()
        notebook.answer = lambda message: asked.set()
        await notebook.run("%relay on_loss ask")
        cell = notebook.send(SLOW)
        await cell.shows("step 5")
        desktop.lose_power()
        await asyncio.wait_for(asked.wait(), 20)
        await notebook.manager.interrupt_kernel()
        result = await cell.end(within=2)
        assert result.reply["content"]["ename"] == "KeyboardInterrupt"
        assert (await notebook.run("1 + 1")).value == "2"

    async def test_once_is_once(self, notebook: Notebook, desktop: Pc) -> None:
        lost, behind = await self.lose(notebook, desktop, "%%relay once\n" + SLOW)
        assert lost.reply["content"]["ename"] == "RelayTargetLost"
        assert "not run again, as %%relay once asks" in lost.error
        assert behind.status == "aborted"
        assert (await notebook.run("total")).value == "4"


class TestStop:
    @pytest.fixture
    async def notebook(self, desktop: Pc, tmp_path: Path) -> object:
        text = desktop.sshd  # the PC is paired by its fixture; only the policy differs
        assert text
        config = find_places().config
        config.write_text(config.read_text().replace("[kernel]", '[kernel]\non_loss = "stop"'))
        async with Notebook(tmp_path) as notebook:
            await notebook.run_on("pc")
            yield notebook

    async def test_the_cell_ends_with_what_was_lost(self, notebook: Notebook, desktop: Pc) -> None:
        await notebook.run("total = 4")
        cells = [notebook.send(SLOW), notebook.send("behind = 1")]
        await cells[0].shows("step 5")
        desktop.lose_power()
        lost, behind = [await cell.end() for cell in cells]
        assert lost.reply["content"]["ename"] == "RelayTargetLost"
        assert "pc was lost" in lost.error
        assert behind.status == "aborted"
        assert (await notebook.run("total")).value == "4"


async def test_restarted_out_of_reach_the_old_kernel_does_not_outlive_the_new_one(
    notebook: Notebook, desktop: Pc
) -> None:
    """Nobody could tell the PC of the restart; the new R knows nothing of the old one's session."""
    (old,) = desktop.named("ipykernel_launcher")
    desktop.freeze()
    await notebook.restart()
    assert (await notebook.run("1 + 1")).value == "2"
    desktop.thaw()
    await notebook.run_on("pc")
    (new,) = desktop.named("ipykernel_launcher")
    assert new.pid != old.pid
    assert not lives(old)


async def test_an_r_that_is_killed_leaves_nothing_behind(notebook: Notebook, desktop: Pc) -> None:
    """As Jupyter's restart after a crash, or the server's out-of-memory killer."""
    here = processes_of(find_places().config.parent)
    kernels = [p for p in here if "ipykernel_launcher" in p.cmdline()]
    (there,) = desktop.named("ipykernel_launcher")
    assert kernels
    notebook.manager.provisioner.process.kill()
    await ended(*kernels)
    # The PC waits for R for twice ``lost_after``.
    await ended(there)


async def test_a_value_that_cannot_move_is_told_and_made_again_on_request(
    notebook: Notebook, desktop: Pc
) -> None:
    await notebook.run("import sqlite3")
    await notebook.run("conn = sqlite3.connect(':memory:')")
    told = ""
    async with asyncio.timeout(20):
        while not told:
            told = (await notebook.run("1")).notices
    assert "stays at pc: `conn`, because an open connection belongs" in told
    assert (await notebook.run("2")).notices == ""
    await notebook.run("%relay local")
    refused = await notebook.run_on("local", "conn.execute('select 1')")
    assert "%relay rebuild conn" in refused.error
    made = await notebook.run("%relay rebuild conn")
    assert made.notices.endswith(" runs again to make conn\n")
    assert (await notebook.run("conn.execute('select 7').fetchone()")).value == "(7,)"
