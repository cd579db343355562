"""A notebook in the browser whose PC loses power."""

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

STATE = """\
import numpy
x, table = 40, numpy.arange(6).reshape(2, 3)
def fail():
    return table[x]
"""
STEPS = """\
import time
from tqdm.notebook import tqdm
for i in tqdm(range(60), desc="steps"):
    print('step', i, flush=True); time.sleep(0.05)
"""
SLIDER = """\
import ipywidgets
slider = ipywidgets.IntSlider(value=5, max=10)
slider
"""


async def test_a_pc_that_loses_power(lab: Lab, notebook: NotebookPage, desktop: Pc) -> None:
    cells = ("%relay", STATE, SLIDER, STEPS, "x, table.sum()", "fail()", SLIDER, "slider.value")
    lab.write("lost.ipynb", *cells)
    await notebook.open("lost.ipynb")
    await notebook.is_on_pc(0)
    await notebook.run_all(1, 2)
    await notebook.start(3)
    await expect(notebook.outputs(3)).to_contain_text("step 9")
    desktop.lose_power()

    # The cell goes on on the server: everything that it prints is there, and nothing twice.
    await notebook.is_busy()
    await notebook.has_ended(3)
    await notebook.is_idle()
    await expect(notebook.outputs(3)).to_contain_text("pc was lost")
    assert await notebook.printed(3) == [f"step {i}" for i in range(60)]
    await expect(notebook.outputs(3)).to_contain_text("60/60")
    await notebook.picture("lost")

    # The widgets that it showed are closed.
    await expect(notebook.outputs(2).locator(".noUi-handle")).to_have_count(0)
    await expect(notebook.outputs(3).locator(".progress")).to_have_count(1)

    # The variables are there, and the source that belongs to a function.
    await notebook.run_all(4, 5)
    await expect(notebook.prompt(4)).to_have_text("[5]:")
    await expect(notebook.value(4)).to_have_text("(40, np.int64(15))")
    await expect(notebook.outputs(5)).to_contain_text("return table[x]")
    await expect(notebook.outputs(5)).to_contain_text("IndexError: index 40 is out of bounds")

    # Widgets that are made now belong to the server.
    await notebook.run(6)
    await notebook.outputs(6).locator(".noUi-handle").focus()
    await notebook.page.keyboard.press("ArrowRight")
    await notebook.run(7)
    await expect(notebook.value(7)).to_have_text("6")
    await notebook.is_idle()
    await notebook.picture("lost-and-on")

    # The PC is back: the next cell runs there, with the variables.
    desktop.boot()
    await notebook.is_on_pc(0)
    await notebook.run(4)
    await expect(notebook.value(4)).to_have_text("(40, np.int64(15))")
    await notebook.picture("back")
    await notebook.is_idle()
    assert notebook.errors == []
