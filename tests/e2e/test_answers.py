"""Stop, restart, shut down, and what a kernel is: answered within 2 s, whatever the PC does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.rig import Notebook
from tests.e2e.test_loss import SLOW, status

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.rig import Pc, Running

pytestmark = pytest.mark.sshd

#: Seconds in which a person gets an answer.
AT_ONCE = 2.0

LONG = """
import time
print("begun", flush=True)
for _ in range(600): time.sleep(0.1)
"""


async def quiet(notebook: Notebook, desktop: Pc) -> None:
    """Cut off, and known to be."""
    desktop.lose_power()
    async with asyncio.timeout(10):
        while await status(notebook) != "quiet":
            await asyncio.sleep(0.02)


async def busy(notebook: Notebook, desktop: Pc) -> None:
    """All is well."""


async def cut(notebook: Notebook, desktop: Pc) -> None:
    """Cut off this moment."""
    desktop.lose_power()


async def frozen(notebook: Notebook, desktop: Pc) -> None:
    """Everything there stands still, and nobody knows."""
    desktop.freeze()


PHASES = [busy, quiet, cut, frozen]


@pytest.fixture(params=PHASES, ids=lambda phase: phase.__name__)
async def cell(request: pytest.FixtureRequest, notebook: Notebook, desktop: Pc) -> Running:
    """A cell that runs on the PC, in some phase. ``lost_after`` is long: nothing ends it."""
    cell = notebook.send(LONG)
    await cell.shows("begun")
    await request.param(notebook, desktop)
    return cell


@pytest.fixture
async def notebook(desktop: Pc, tmp_path: Path) -> object:
    from relay_kernel.settings.paths import find_places

    config = find_places().config
    config.write_text(config.read_text().replace("lost_after = 4.0", "lost_after = 60.0"))
    async with Notebook(tmp_path) as notebook:
        await notebook.run_on("pc")
        yield notebook


async def test_interrupt(notebook: Notebook, cell: Running) -> None:
    began = time.monotonic()
    await notebook.manager.interrupt_kernel()
    result = await cell.end(within=10)
    assert time.monotonic() - began < AT_ONCE
    assert result.reply["content"]["ename"] == "KeyboardInterrupt"
    assert (await notebook.run("1 + 1", within=10)).value == "2"


@pytest.mark.parametrize("channel", ["shell", "control"])
async def test_kernel_info(notebook: Notebook, cell: Running, channel: str) -> None:
    began = time.monotonic()
    reply = await notebook.ask("kernel_info_request", {}, channel)
    assert time.monotonic() - began < AT_ONCE
    assert reply["content"]["status"] == "ok"
    assert reply["content"]["language_info"]["name"] == "python"
    assert not cell.reply.done()


async def test_kernel_info_keeps_its_place_behind_a_quick_cell(alone: Notebook) -> None:
    """A client that sends several requests at once takes the answers in their order."""
    cell = alone.send("import time; time.sleep(0.2); 1 / 0")
    reply = await alone.ask("kernel_info_request", {})
    assert reply["content"]["status"] == "ok"
    assert cell.reply.done()
    assert (await cell.end()).status == "error"


@pytest.mark.parametrize("restart", [False, True])
async def test_shutdown_and_restart(notebook: Notebook, cell: Running, restart: bool) -> None:
    began = time.monotonic()
    reply = await notebook.ask("shutdown_request", {"restart": restart}, "control")
    assert time.monotonic() - began < AT_ONCE
    assert reply["content"]["restart"] is restart
    async with asyncio.timeout(AT_ONCE):
        while await notebook.manager.is_alive():
            await asyncio.sleep(0.02)


@pytest.mark.alone
async def test_completion_and_inspection(notebook: Notebook, cell: Running) -> None:
    # The first one of a new kernel loads the completer; that began when the cell was sent.
    await notebook.ask("complete_request", {"code": "pri", "cursor_pos": 3})
    for kind, content in [
        ("complete_request", {"code": "tim", "cursor_pos": 3}),
        ("inspect_request", {"code": "print", "cursor_pos": 5, "detail_level": 0}),
        ("is_complete_request", {"code": "for x in y:"}),
        ("history_request", {"hist_access_type": "tail", "n": 1, "raw": True, "output": False}),
    ]:
        began = time.monotonic()
        reply = await notebook.ask(kind, content)
        assert time.monotonic() - began < 0.5, kind
        assert reply["content"].get("status", "ok") in {"ok", "incomplete"}
    assert not cell.reply.done()


async def test_after_a_side_question_the_kernel_is_still_shown_as_busy(
    notebook: Notebook, desktop: Pc
) -> None:
    cell = notebook.send(SLOW)
    await cell.shows("step 2")
    notebook.others.clear()
    await notebook.ask("kernel_info_request", {})
    async with asyncio.timeout(5):
        while not notebook.others:
            await asyncio.sleep(0.01)
    (last,) = [m for m in notebook.others if m["msg_type"] == "status"]
    assert (last["content"]["execution_state"], last["parent_header"]) == ("busy", {})
    assert (await cell.end()).status == "ok"


async def test_a_request_that_only_the_lost_kernel_could_answer_is_ended(
    notebook: Notebook, desktop: Pc
) -> None:
    """Variables in the debugger, say: nobody waits for ever."""
    cell = notebook.send(LONG)
    await cell.shows("begun")
    asked = asyncio.ensure_future(notebook.ask("comm_info_request", {}))
    await asyncio.sleep(0)
    # R takes requests in order, so the one before this has been passed on.
    await notebook.ask("kernel_info_request", {})
    desktop.kill_kernel()
    reply = await asyncio.wait_for(asked, 10)
    assert reply["content"]["status"] == "error"
    assert "was not answered: pc was lost" in reply["content"]["evalue"]
    await notebook.manager.interrupt_kernel()
    await cell.end()


async def test_a_request_to_a_kernel_out_of_reach_waits_no_longer_than_a_cell(
    notebook: Notebook, desktop: Pc
) -> None:
    cell = notebook.send(LONG)
    await cell.shows("begun")
    asked = asyncio.ensure_future(notebook.ask("comm_info_request", {}))
    desktop.freeze()
    reply = await asyncio.wait_for(asked, 15)
    assert reply["content"]["status"] == "error"
    assert "was not answered: pc is quiet" in reply["content"]["evalue"]
    desktop.thaw()
    await notebook.manager.interrupt_kernel()
    await cell.end()
    assert (await notebook.run_on("pc", "1 + 1")).value == "2"
