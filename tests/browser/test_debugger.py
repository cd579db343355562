"""The debugger of JupyterLab on a kernel at the PC, and on the server alone."""

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

ADD = "def add(a, b):\n    total = a + b\n    return total"
CALL = "answer = add(40, 2)\nprint('answer is', answer)"


async def debug(notebook: NotebookPage, name: str) -> None:
    """Set a breakpoint in cell 1, run into it from cell 2, look around, go on."""
    page = notebook.page
    await page.get_by_role("button", name="Enable Debugger").click()
    await expect(page.get_by_role("button", name="Disable Debugger")).to_be_visible()
    await notebook.run(1)
    gutter = notebook.cell(1).locator(".cm-breakpoint-gutter .cm-gutterElement")
    await gutter.nth(3).click()
    await expect(page.locator(".jp-DebuggerBreakpoint")).to_have_count(1)

    await notebook.start(2)
    variables = page.locator(".jp-DebuggerVariables-body:visible")
    frames = page.locator(".jp-DebuggerCallstackFrame-name")
    await expect(frames).to_have_text(["add", "<module>"])
    await expect(variables).to_contain_text(re.compile(r"total\s*42"))
    await expect(notebook.prompt(2)).to_have_text("[*]:")
    await notebook.picture(f"debugger-stopped-{name}")
    # Over the end of the function and that of the cell, where the debugger leaves the user's code.
    next_ = page.get_by_role("button", name="Next (F10)")
    await next_.click()
    await expect(frames).to_have_text(["<module>"])
    await expect(notebook.cell(2).locator(".jp-DebuggerEditor-highlight")).to_contain_text("print")
    # JupyterLab stumbles when its question is answered too late, after the next step.
    await expect(variables).to_contain_text("answer")
    await next_.click()
    await notebook.has_ended(2)
    await expect(notebook.outputs(2)).to_contain_text("answer is 42")
    await notebook.is_idle()
    await expect(page.locator(".lm-TabBar-tab.lm-mod-current .lm-TabBar-tabLabel")).to_contain_text(
        [re.compile("^debug-")]
    )
    await notebook.picture(f"debugger-ended-{name}")


@pytest.mark.parametrize("place", ["pc", "local"])
async def test_a_breakpoint(lab: Lab, notebook: NotebookPage, desktop: Pc, place: str) -> None:
    lab.write(f"debug-{place}.ipynb", "%relay", ADD, CALL, "answer", "%relay local")
    await notebook.open(f"debug-{place}.ipynb")
    await (notebook.is_on_pc(0) if place == "pc" else notebook.run(4))
    await debug(notebook, place)
    await notebook.page.get_by_role("button", name="Disable Debugger").click()
    await notebook.run(3)
    await expect(notebook.value(3)).to_have_text("42")
    assert notebook.errors == []
