"""What JupyterLab and Notebook show of a relay kernel, and of one that is none."""

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


async def test_where_cells_run_is_in_the_status_bar(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    lab.write("item.ipynb", "%relay", "x = 1")
    await notebook.open("item.ipynb")
    await notebook.is_on_pc(0)
    await expect(notebook.item).to_contain_text("pc · safe up to [")
    await notebook.item.focus()
    await notebook.page.keyboard.press("Enter")
    await expect(notebook.panel).to_be_visible()
    await notebook.picture("panel")
    assert notebook.errors == []
