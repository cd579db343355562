"""A notebook in the browser whose PC loses power."""

from __future__ import annotations

import re
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

STATE = """\
import numpy
x, table = 40, numpy.arange(6).reshape(2, 3)
def fail():
    return table[x]
"""
STEPS = """\
import time
for i in range(60):
    print('step', i, flush=True); time.sleep(0.05)
"""
SLIDER = """\
import ipywidgets
slider = ipywidgets.IntSlider(value=5, max=10)
slider
"""
PROGRESS = """\
import time
from tqdm.notebook import tqdm
for i in tqdm(range(60), desc="steps"):
    time.sleep(0.05)
"""


async def test_a_cell_goes_on_on_the_server(lab: Lab, notebook: NotebookPage, desktop: Pc) -> None:
    lab.write("lost.ipynb", "%relay", STATE, STEPS, "x, table.sum()", "fail()", "%relay")
    await notebook.open("lost.ipynb")
    await notebook.is_on_pc(0)
    await notebook.run(1)
    await notebook.start(2)
    await expect(notebook.outputs(2)).to_contain_text("step 9")
    desktop.lose_power()
    await notebook.is_busy()
    await expect(notebook.outputs(2)).to_contain_text("step 59")
    await notebook.has_ended(2)
    await notebook.is_idle()
    streams = notebook.outputs(2).locator('[data-mime-type="application/vnd.jupyter.stdout"]')
    shown = "".join(await streams.all_inner_texts()).split("\n")
    assert [line for line in shown if line] == [f"step {i}" for i in range(60)]
    await expect(notebook.outputs(2)).to_contain_text("pc was lost")
    await notebook.picture("switched")

    await notebook.run_all(3, 4, 5)
    await expect(notebook.prompt(3)).to_have_text("[4]:")
    await expect(notebook.value(3)).to_contain_text("(40, np.int64(15))")
    await expect(notebook.outputs(4)).to_contain_text("return table[x]")
    await expect(notebook.outputs(4)).to_contain_text("IndexError: index 40 is out of bounds")
    await expect(notebook.outputs(5)).to_contain_text("runs the cells")
    await notebook.picture("switched-on")
    await notebook.is_idle()
    assert notebook.errors == []


async def test_widgets_of_a_lost_pc(lab: Lab, notebook: NotebookPage, desktop: Pc) -> None:
    cells = ("%relay", SLIDER, PROGRESS, "1 + 1", SLIDER, "slider.value")
    lab.write("dead.ipynb", *cells)
    await notebook.open("dead.ipynb")
    await notebook.is_on_pc(0)
    await notebook.run(1)
    await notebook.start(2)
    await expect(notebook.outputs(2)).to_contain_text(re.compile(r"\b[1-4]\d/60"))
    desktop.lose_power()
    await notebook.has_ended(2)
    await notebook.is_idle()
    await expect(notebook.outputs(2)).to_contain_text("60/60")
    await notebook.picture("widgets-lost")

    # What is moved now belongs to nobody, and that must not hold anything up.
    handle = notebook.outputs(1).locator(".noUi-handle")
    if await handle.count():
        await handle.focus()
        await notebook.page.keyboard.press("ArrowRight")
    await notebook.run(3)
    await expect(notebook.value(3)).to_have_text("2")
    await notebook.is_idle()
    await notebook.picture("widgets-lost-moved")

    await notebook.run(4)
    await notebook.outputs(4).locator(".noUi-handle").focus()
    await notebook.page.keyboard.press("ArrowRight")
    await notebook.run(5)
    await expect(notebook.value(5)).to_have_text("6")
    await notebook.is_idle()
    await notebook.picture("widgets-anew")
    assert notebook.errors == []
