"""Widgets whose Python side lives on the PC."""

from __future__ import annotations

import hashlib
import random
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

SLIDER = """\
import ipywidgets
slider = ipywidgets.IntSlider(value=5, max=10)
seen = ipywidgets.Output()
def moved(change):
    with seen:
        print("moved to", change["new"])
slider.observe(moved, "value")
ipywidgets.VBox([slider, seen])
"""
BUTTON = """\
button = ipywidgets.Button(description="press")
def pressed(_):
    button.description = "pressed"
button.on_click(pressed)
button
"""
PROGRESS = """\
import time
from tqdm.notebook import tqdm
for i in tqdm(range(20), desc="steps"):
    time.sleep(0.02)
"""
IMAGE = """\
import io, numpy, matplotlib.pyplot as plt
file = io.BytesIO()
plt.imsave(file, numpy.random.default_rng(1).random((600, 900)), format="png")
ipywidgets.Image(value=file.getvalue())
"""


UPLOAD = "upload = ipywidgets.FileUpload()\nupload"
HASH = "import hashlib\nhashlib.sha256(upload.value[0].content).hexdigest()"
GATED = """\
import os, time
print("waits", flush=True)
while not os.path.exists("slid"):
    time.sleep(0.02)
"""


async def test_widgets(lab: Lab, notebook: NotebookPage, desktop: Pc) -> None:
    cells = ("%relay", SLIDER, "slider.value", BUTTON, PROGRESS, IMAGE, GATED, UPLOAD, HASH)
    lab.write("widgets.ipynb", *cells)
    await notebook.open("widgets.ipynb")
    await notebook.is_on_pc(0)

    await notebook.run(1)
    handle = notebook.outputs(1).locator(".noUi-handle")
    await handle.focus()
    await notebook.page.keyboard.press("ArrowRight")
    await expect(notebook.outputs(1)).to_contain_text("moved to 6")
    await notebook.page.keyboard.press("ArrowRight")
    await expect(notebook.outputs(1)).to_contain_text("moved to 7")
    await notebook.run(2)
    await expect(notebook.value(2)).to_have_text("7")

    await notebook.run(3)
    await notebook.outputs(3).get_by_role("button", name="press").click()
    await expect(notebook.outputs(3)).to_contain_text("pressed")

    await notebook.run(4)
    await expect(notebook.outputs(4)).to_contain_text("20/20")
    await expect(notebook.outputs(4).locator(".progress-bar-success")).to_be_visible()

    await notebook.run(5)
    image = notebook.outputs(5).locator("img")
    await expect(image).to_be_visible()
    size = await image.evaluate("i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])")
    assert size == [900, 600]
    await notebook.picture("widgets")

    await notebook.run(7)
    file = random.Random(1).randbytes(3_000_000)
    chosen = {"name": "noise.bin", "mimeType": "application/octet-stream", "buffer": file}
    async with notebook.page.expect_file_chooser() as chooser:
        await notebook.outputs(7).get_by_role("button", name="Upload").click()
    await (await chooser.value).set_files([chosen])
    await expect(notebook.outputs(7)).to_contain_text("Upload (1)")
    await notebook.run(8)
    await expect(notebook.value(8)).to_have_text(repr(hashlib.sha256(file).hexdigest()))

    # While a cell runs, a widget is answered all the same, by a subshell.
    await notebook.start(6)
    await expect(notebook.outputs(6)).to_contain_text("waits")
    await handle.focus()
    await notebook.page.keyboard.press("ArrowLeft")
    await expect(notebook.outputs(1)).to_contain_text("moved to 6\nmoved to 7\nmoved to 6")
    await expect(notebook.prompt(6)).to_have_text("[*]:")
    await notebook.is_busy()
    await notebook.picture("widgets-busy")
    (lab.folder / "slid").touch()
    await notebook.has_ended(6)
    await notebook.is_idle()

    # A tab that is loaded anew finds the widgets, and what they are set to.
    await notebook.save()
    await notebook.reload()
    await notebook.is_idle()
    await handle.focus()
    await notebook.page.keyboard.press("ArrowLeft")
    await notebook.run(2)
    await expect(notebook.value(2)).to_have_text("5")
    await notebook.picture("widgets-reloaded")
    assert notebook.errors == []
