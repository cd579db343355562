"""What a cell on the PC shows, as the browser draws it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

if TYPE_CHECKING:
    from playwright.async_api import Locator

    from tests.browser.lab import Lab
    from tests.browser.page import NotebookPage
    from tests.e2e.rig import Pc

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.browser,
    pytest.mark.sshd,
]

RICH = """\
from IPython.display import HTML, Latex, Markdown, display
display(HTML("<b id='bold'>bold</b>"), Latex(r"$\\frac{a}{b}$"), Markdown("*slanted*"))
"""
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 4, 9]);"
TABLE = "import pandas\npandas.DataFrame({'n': [1, 2], 'word': ['one', 'two']})"
UPDATED = """\
from IPython.display import clear_output
print("before"); clear_output(wait=True); print("after")
shown = display("first", display_id=True)
shown.update("second")
"""
ERROR = "def f():\n    return 1 / 0\nf()"


async def size(image: Locator) -> tuple[int, int]:
    """Of the picture itself, as the browser decoded it."""
    await expect(image).to_be_visible()
    return await image.evaluate("i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])")


async def test_rich_output(lab: Lab, notebook: NotebookPage, desktop: Pc) -> None:
    lab.write(
        "rich.ipynb", "%relay", RICH, PLOT, TABLE, UPDATED, ERROR, "print?", "%load loaded.py"
    )
    (lab.folder / "loaded.py").write_text("'from a file'\n")
    await notebook.open("rich.ipynb")
    await notebook.is_on_pc(0)
    await notebook.run_all(1, 2, 3, 4, 5, 6)
    await expect(notebook.outputs(1).locator("b#bold")).to_have_text("bold")
    await expect(notebook.outputs(1).locator("em")).to_have_text("slanted")
    await expect(notebook.outputs(1).locator("mjx-container mjx-mfrac")).to_be_visible()
    width, height = await size(notebook.outputs(2).locator("img"))
    assert width > 300
    assert height > 200
    await expect(notebook.outputs(3).locator("td")).to_have_text(["1", "one", "2", "two"])
    await expect(notebook.outputs(4)).to_contain_text("second")
    await expect(notebook.outputs(4)).not_to_contain_text("first")
    await expect(notebook.outputs(4)).to_contain_text("after")
    await expect(notebook.outputs(4)).not_to_contain_text("before")
    await expect(notebook.outputs(5)).to_contain_text(re.compile("ZeroDivisionError: division"))
    await expect(notebook.outputs(6)).to_contain_text("Prints the values to a stream")
    await notebook.run(7)
    await expect(notebook.editor(7)).to_contain_text("# %load loaded.py'from a file'")
    await notebook.run(7)
    await expect(notebook.value(7)).to_have_text("'from a file'")
    await notebook.is_idle()
    await notebook.picture("rich")
    assert notebook.errors == []
