"""The debugger of JupyterLab on a kernel at the PC, and on the server alone."""

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

ADD = "def add(a, b):\n    total = a + b\n    return total"
CALL = "answer = add(40, 2)\nprint('answer is', answer)"


async def stop_at_a_breakpoint(notebook: NotebookPage) -> None:
    """Switch the debugger on, set a breakpoint in cell 1, and run into it from cell 2."""
    page = notebook.page
    await page.get_by_role("button", name="Enable Debugger").click()
    await expect(page.get_by_role("button", name="Disable Debugger")).to_be_visible()
    await notebook.run(1)
    gutter = notebook.cell(1).locator(".cm-breakpoint-gutter .cm-gutterElement")
    await gutter.nth(3).click()
    await expect(page.locator(".jp-DebuggerBreakpoint")).to_have_count(1)
    await notebook.start(2)
    await stands_in_add(notebook)


def variables(notebook: NotebookPage) -> Locator:
    """The panel of the debugger's sidebar."""
    return notebook.page.locator(".jp-DebuggerVariables-body:visible")


async def stands_in_add(notebook: NotebookPage) -> None:
    """Wait until cell 2 stands at the breakpoint, and everything about that is shown."""
    frames = notebook.page.locator(".jp-DebuggerCallstackFrame-name")
    await expect(frames).to_have_text(["add", "<module>"])
    await expect(variables(notebook)).to_contain_text(re.compile(r"total\s*42"))
    await expect(notebook.prompt(2)).to_have_text("[*]:")


async def step_to_the_end(notebook: NotebookPage) -> None:
    """Step over the end of the function and that of the cell, where the user's code ends."""
    page = notebook.page
    step = page.get_by_role("button", name="Next (F10)")
    await step.click()
    await expect(page.locator(".jp-DebuggerCallstackFrame-name")).to_have_text(["<module>"])
    await expect(notebook.cell(2).locator(".jp-DebuggerEditor-highlight")).to_contain_text("print")
    # JupyterLab stumbles when its question is answered too late, after the next step.
    await expect(variables(notebook)).to_contain_text("answer")
    await step.click()
    await notebook.has_ended(2)
    await expect(notebook.outputs(2)).to_contain_text("answer is 42")
    await notebook.is_idle()
    # No file of ours was opened.
    current = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    await expect(current).to_be_visible()


@pytest.mark.parametrize("place", ["pc", "local"])
async def test_a_breakpoint(lab: Lab, notebook: NotebookPage, desktop: Pc, place: str) -> None:
    lab.write(f"debug-{place}.ipynb", "%relay", ADD, CALL, "answer", "%relay local")
    await notebook.open(f"debug-{place}.ipynb")
    await (notebook.is_on_pc(0) if place == "pc" else notebook.run(4))
    await stop_at_a_breakpoint(notebook)
    await notebook.picture(f"debugger-stopped-{place}")
    await step_to_the_end(notebook)
    await notebook.picture(f"debugger-ended-{place}")
    await notebook.page.get_by_role("button", name="Disable Debugger").click()
    await notebook.run(3)
    await expect(notebook.value(3)).to_have_text("42")
    assert notebook.errors == []


async def test_a_pc_that_is_lost_at_a_breakpoint(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    lab.write("debug-lost.ipynb", "%relay", ADD, CALL)
    page = notebook.page
    await notebook.open("debug-lost.ipynb")
    await notebook.is_on_pc(0)
    await stop_at_a_breakpoint(notebook)
    desktop.lose_power()

    # The cell runs again on the server, and stands at the same breakpoint there.
    await expect(notebook.outputs(2)).to_contain_text("pc was lost")
    await stands_in_add(notebook)
    await notebook.picture("debugger-lost")
    await page.get_by_role("button", name="Continue (F9)").first.click()
    await notebook.has_ended(2)
    await expect(notebook.outputs(2)).to_contain_text("answer is 42")
    await expect(page.locator(".jp-DebuggerCallstackFrame-name")).to_have_count(0)

    # And at the PC again, once that is back.
    desktop.boot()
    await notebook.is_on_pc(0)
    await notebook.start(2)
    await stands_in_add(notebook)
    await page.get_by_role("button", name="Continue (F9)").first.click()
    await notebook.has_ended(2)
    await notebook.is_idle()
    await notebook.picture("debugger-back")
    assert notebook.errors == []
