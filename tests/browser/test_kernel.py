"""The buttons around a notebook, and a notebook that is open more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.browser.lab import Lab
    from tests.browser.page import NotebookPage
    from tests.e2e.rig import Pc

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.browser,
    pytest.mark.sshd,
]

SLOW = "import time\nfor i in range(600):\n    print('tick', i, flush=True); time.sleep(0.1)"
GATED = """\
import os, time
print("waits", flush=True)
while not os.path.exists("open"):
    time.sleep(0.02)
print("goes on")
"""


async def test_interrupt_and_restart(lab: Lab, notebook: NotebookPage, desktop: Pc) -> None:
    lab.write("stop.ipynb", "%relay", "x = 1", SLOW, "x + 1", "'x' in globals()")
    await notebook.open("stop.ipynb")
    await notebook.is_on_pc(0)
    await notebook.run(1)
    await notebook.start(2)
    await expect(notebook.outputs(2)).to_contain_text("tick 3")
    await notebook.is_busy()
    # What waits behind the cell is aborted with it.
    await notebook.prompt(3).click()
    await notebook.page.keyboard.press("Control+Enter")
    await expect(notebook.prompt(3)).to_have_text("[*]:")
    await notebook.interrupt()
    await notebook.has_ended(2)
    await expect(notebook.outputs(2)).to_contain_text("KeyboardInterrupt")
    await expect(notebook.prompt(3)).to_have_text("[ ]:")
    await notebook.is_idle()
    await notebook.run(3)
    await expect(notebook.value(3)).to_have_text("2")
    await notebook.picture("interrupted")

    await notebook.restart()
    await notebook.is_idle()
    await notebook.run(4)
    await expect(notebook.prompt(4)).to_have_text("[1]:")
    await expect(notebook.value(4)).to_have_text("False")
    await notebook.is_on_pc(0)
    await notebook.picture("restarted")

    # The same while a cell runs.
    await notebook.start(2)
    await expect(notebook.outputs(2)).to_contain_text("tick 3")
    await notebook.restart()
    await notebook.is_idle()
    await notebook.run(4)
    await expect(notebook.prompt(4)).to_have_text("[1]:")
    await expect(notebook.prompt(2)).to_have_text("[ ]:")
    await notebook.picture("restarted-busy")
    assert notebook.errors == []


async def test_reload_and_a_second_tab(
    lab: Lab, notebook: NotebookPage, new_tab: Callable[[], Awaitable[NotebookPage]], desktop: Pc
) -> None:
    lab.write("twice.ipynb", "%relay", "x = 20", GATED, "x + 1", "x * 2")
    await notebook.open("twice.ipynb")
    await notebook.is_on_pc(0)
    await notebook.run(1)
    await notebook.save()
    await notebook.start(2)
    await expect(notebook.outputs(2)).to_contain_text("waits")
    await notebook.reload()
    await notebook.is_busy()
    await notebook.picture("reloaded-busy")
    (lab.folder / "open").touch()
    await notebook.is_idle()
    await notebook.run(3)
    await expect(notebook.value(3)).to_have_text("21")
    await notebook.picture("reloaded")

    other = await new_tab()
    await other.open("twice.ipynb")
    await other.run(4)
    await expect(other.value(4)).to_have_text("40")
    await notebook.run(3)
    await expect(notebook.value(3)).to_have_text("21")
    assert len(await lab.sessions()) == 1
    await other.picture("second-tab")
    assert notebook.errors + other.errors == []
