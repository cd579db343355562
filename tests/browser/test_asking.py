"""What a person answers and asks: input, getpass, completion, the inspector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

if TYPE_CHECKING:
    from tests.browser.lab import Lab
    from tests.browser.page import NotebookPage
    from tests.e2e.rig import Pc

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.browser,
    pytest.mark.sshd,
]

ASK = "name = input('who? ')\nprint('hello', name)"
ASK_SECRET = "import getpass\nsecret = getpass.getpass('key: ')\nprint(len(secret), 'letters')"
NAMED = "def walrus(left, right=2):\n    'Eats clams.'\nwalnut = 1"
LONG = "import time\nfor i in range(600):\n    print('tick', i, flush=True); time.sleep(0.1)"


@pytest.mark.parametrize("target", ["pc", "local"])
async def test_input_and_getpass(
    lab: Lab, notebook: NotebookPage, desktop: Pc, target: str
) -> None:
    name = f"input-{target}.ipynb"
    lab.write(name, "%relay", ASK, ASK_SECRET, f"%relay {target}")
    await notebook.open(name)
    await notebook.is_on_pc(0)
    await notebook.run(3)

    await notebook.start(1)
    await expect(notebook.cell(1)).to_contain_text("who?")
    await notebook.picture(f"input-asked-{target}")
    await notebook.box(1).fill("Ada")
    await notebook.box(1).press("Enter")
    await notebook.has_ended(1)
    await expect(notebook.outputs(1)).to_contain_text("hello Ada")

    await notebook.start(2)
    await expect(notebook.box(2)).to_have_attribute("type", "password")
    await notebook.box(2).fill("sesame")
    await notebook.picture(f"input-secret-{target}")
    await notebook.box(2).press("Enter")
    await notebook.has_ended(2)
    await expect(notebook.outputs(2)).to_contain_text("6 letters")
    await expect(notebook.outputs(2)).not_to_contain_text("sesame")

    # Stop, while the box is open.
    await notebook.start(1)
    await notebook.box(1).wait_for()
    await notebook.interrupt()
    await notebook.has_ended(1)
    await expect(notebook.outputs(1)).to_contain_text("KeyboardInterrupt")
    await notebook.picture(f"input-{target}")
    await notebook.is_idle()
    assert notebook.errors == []


async def test_completion_and_inspector_while_a_cell_runs(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    lab.write("complete.ipynb", "%relay", NAMED, LONG, "")
    await notebook.open("complete.ipynb")
    await notebook.is_on_pc(0)
    await notebook.run(1)
    await notebook.start(2)
    await expect(notebook.outputs(2)).to_contain_text("tick 3")

    await notebook.editor(3).click()
    await notebook.page.keyboard.type("wal")
    await notebook.page.keyboard.press("Tab")
    offered = notebook.page.locator(".jp-Completer-item")
    await expect(offered.filter(has_text="walrus")).to_be_visible()
    await expect(offered.filter(has_text="walnut")).to_be_visible()
    await notebook.picture("completer")
    await notebook.page.keyboard.press("Escape")

    await notebook.page.keyboard.type("rus(")
    await notebook.page.keyboard.press("Shift+Tab")
    tip = notebook.page.locator(".jp-Tooltip")
    await expect(tip).to_contain_text("walrus(left, right=2)")
    await expect(tip).to_contain_text("Eats clams.")
    await notebook.picture("inspector")

    await expect(notebook.prompt(2)).to_have_text("[*]:")
    await notebook.is_busy()
    await notebook.interrupt()
    await notebook.has_ended(2)
    await notebook.is_idle()
    assert notebook.errors == []
