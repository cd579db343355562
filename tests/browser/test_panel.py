"""What JupyterLab and Notebook show of a relay kernel, and of one that is none."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from relay_kernel.core.overview import (
    Conflict,
    EnvironmentView,
    FilesView,
    Gpu,
    Overview,
    TargetView,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.browser.lab import Lab
    from tests.browser.page import NotebookPage
    from tests.e2e.rig import Pc

    Opening = Callable[[str], Awaitable[None]]

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.browser,
    pytest.mark.sshd,
]

LOCK = "import threading\nlock = threading.Lock(); lock.acquire(); None"
GATED = """\
import os, time
print("waits", flush=True)
while not os.path.exists({name!r}):
    time.sleep(0.05)
"""
#: Says over the comm what R says there, since not all of it can be brought about here; and that
#: the cell itself runs, which R says too.
SAYS = """\
import os, time
from comm import create_comm
comm = create_comm(target_name="made-up", comm_id="relay")
said = {said!r}
message = get_ipython().kernel.get_parent()["header"]["msg_id"]
said["running"] = dict(cell=1, message=message, target=said["primary"])
while not os.path.exists({gate!r}):
    comm.send(said)
    time.sleep(0.02)
"""


async def open_saying(
    notebook: NotebookPage, opening: Opening, name: str, said: dict[str, Any]
) -> Path:
    """Open a notebook whose first cell says ``said``, as R would, until there is the file returned.

    Args:
        notebook: an empty tab.
        opening: one of its two ways to open a notebook.
        name: of the new notebook.
        said: an overview, as JSON.
    """
    gate = (notebook.lab.folder / name).with_suffix(".said")
    notebook.lab.write(name, SAYS.format(said=said, gate=gate.name), "%relay local")
    await opening(name)
    await notebook.run(1)
    await notebook.start(0)
    return gate


async def test_the_item_the_panel_and_the_switch(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    lab.write("panel.ipynb", "%relay", LOCK, "x = 1")
    await notebook.open("panel.ipynb")
    await notebook.is_on_pc(0)
    await notebook.run(1)
    await expect(notebook.item).to_contain_text(re.compile(r"pc · safe up to \[\d+\]"))
    await expect(notebook.item).to_have_attribute("aria-expanded", "false")
    await expect(notebook.badge(1)).to_have_text("pc")

    # By keyboard alone: the item, the switch, and back.
    await notebook.item.focus()
    await notebook.page.keyboard.press("Enter")
    await expect(notebook.panel).to_be_visible()
    await expect(notebook.item).to_have_attribute("aria-expanded", "true")
    await expect(notebook.choice("Automatic")).to_be_focused()
    await expect(notebook.choice("Automatic")).to_be_checked()
    await expect(notebook.card("pc")).to_contain_text("runs the cells")
    await expect(notebook.card("pc")).to_contain_text(re.compile(r"[\d.]+ ms away"))
    await expect(notebook.card("pc").get_by_role("meter", name="Memory")).to_be_visible()
    await expect(notebook.card("local").get_by_role("meter", name="CPU")).to_be_visible()
    behind = notebook.panel.get_by_role("list", name="Variables")
    await expect(behind).to_contain_text("lock (lock) stays at pc")
    await notebook.picture("panel")
    await notebook.page.keyboard.press("ArrowUp")
    await expect(notebook.choice("local")).to_be_checked()
    await expect(notebook.item).to_contain_text("next cells at local")
    await notebook.run(2)
    await expect(notebook.item).to_contain_text("local · safe")
    await expect(notebook.badge(2)).to_have_text("local")
    await expect(notebook.badge(1)).to_have_text("pc")
    await expect(notebook.panel).to_contain_text("local runs the cells of panel.ipynb")

    # Closed from where it was opened.
    await notebook.item.focus()
    await notebook.page.keyboard.press("Enter")
    await expect(notebook.panel).to_be_hidden()
    await expect(notebook.item).to_be_focused()
    assert notebook.errors == []


async def test_two_tabs_a_reload_and_a_restart(
    lab: Lab, new_tab: Callable[[], Awaitable[NotebookPage]], desktop: Pc
) -> None:
    lab.write("tabs.ipynb", "%%relay local\nx = 1", "x")
    notebook = await new_tab()
    await notebook.open("tabs.ipynb")
    await notebook.run(0)
    await expect(notebook.badge(0)).to_have_text("local")
    await notebook.save()

    # Both see what either chooses.
    other = await new_tab()
    await other.open("tabs.ipynb")
    await expect(other.badge(0)).to_have_text("local")
    await notebook.item.click()
    await other.item.click()
    await other.choice("local").check()
    await expect(notebook.choice("local")).to_be_checked()

    # What a cell says of where it ran is in the notebook's file; once it was cleared, it is gone.
    await notebook.reload()
    await expect(notebook.badge(0)).to_have_attribute("aria-label", "ran at local")
    await expect(notebook.badge(1)).to_have_count(0)
    await expect(notebook.item).to_contain_text("safe up to")
    await notebook.clear_outputs()
    await expect(notebook.badge(0)).to_have_count(0)

    # A new kernel is followed like the one before.
    await other.restart()
    await expect(notebook.item).to_contain_text("nothing run yet")
    await expect(other.item).to_contain_text("nothing run yet")
    assert notebook.errors + other.errors == []


async def test_a_pc_that_is_lost_and_comes_back(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    lab.write("lose.ipynb", "%relay", GATED.format(name="lost"), "x = 1")
    await notebook.open("lose.ipynb")
    await notebook.is_on_pc(0)
    await notebook.start(1)
    await expect(notebook.outputs(1)).to_contain_text("waits")
    await expect(notebook.badge(1)).to_have_attribute("aria-label", "runs at pc")
    desktop.lose_power()
    await expect(notebook.item).to_contain_text("quiet")
    await expect(notebook.item).to_contain_text("local · ")
    await expect(notebook.item).to_contain_text("pc lost")
    await expect(notebook.spoken).to_have_text("Cells run at local. pc is lost")
    await expect(notebook.badge(1)).to_have_attribute("aria-label", "runs at local")
    await expect(notebook.notice("pc was lost: the notebook goes on at local.")).to_be_visible()
    await notebook.notice("pc was lost").get_by_role("button", name="Show").click()
    await expect(notebook.card("pc")).to_contain_text("lost")
    await notebook.picture("panel-lost")
    (lab.folder / "lost").touch()
    await notebook.has_ended(1)
    await expect(notebook.badge(1)).to_have_attribute("aria-label", "ran at local")

    desktop.boot()
    await notebook.is_on_pc(0)
    await expect(notebook.notice("pc is back and holds the variables")).to_be_visible()
    await expect(notebook.item).to_contain_text("pc · safe")
    await notebook.picture("panel-back")
    assert notebook.errors == []


def with_everything() -> Overview:
    """A notebook of which there is something to be said in every part of the panel."""
    usage = Usage(0.5, 8, 4 << 30, 16 << 30, (Gpu("RTX 9090", 0.75, 6 << 30, 24 << 30),))
    ready = TargetView("pc", "ready", 1.0, "", "desk", 3.25, True, 1, None, usage)
    local = TargetView("local", "filling", 1.0, "", "box", None, False, None, 1, None)
    conflict = Conflict("work/a.csv", "work/a (pc).csv", "pc", 1.0)
    return Overview(
        *("pc", 2, "auto", "rerun", 3, 2, 7, 6, None, 0, (ready, local), (), 0),
        files=FilesView(True, "", {"pc": 3}, (conflict,), 1),
        environments=(EnvironmentView("pc", "ready", "", ("numpy is 2.1 here, 2.0 there",)),),
        moved=None,
    )


async def test_files_packages_and_gpus(lab: Lab, notebook: NotebookPage, desktop: Pc) -> None:
    said = with_everything().to_json()
    gate = await open_saying(notebook, notebook.open, "all.ipynb", said)
    parts = ("pc", "safe up to [6] of [7]", "3 files pending", "1 conflict")
    await expect(notebook.item).to_contain_text(" · ".join(parts))
    await notebook.item.click()
    gpu = notebook.card("pc").get_by_role("meter", name="GPU", exact=True)
    await expect(gpu).to_have_attribute("aria-valuetext", "75 % · RTX 9090")
    await expect(notebook.card("pc")).to_contain_text("3.3 ms away")
    await expect(notebook.card("local")).to_contain_text("is being given the variables")
    conflicts = notebook.panel.get_by_role("list", name="Conflicts")
    await expect(conflicts).to_contain_text("~/work/a.csv")
    await expect(conflicts).to_contain_text("~/work/a (pc).csv")
    await expect(notebook.panel).to_contain_text("3 files on the way to or from pc")
    await expect(notebook.panel.get_by_role("list", name="Differences")).to_contain_text("numpy")
    await notebook.picture("panel-all")
    gate.touch()
    await notebook.has_ended(0)
    assert notebook.errors == []


def with_a_conflict(lab: Lab) -> Overview:
    """One file of the lab's folder has two versions, and another lies where Jupyter sees nothing.

    Both versions are on the disk.
    """
    (lab.folder / "sub").mkdir(exist_ok=True)
    (lab.folder / "sub" / "a.txt").write_text("what the server has")
    (lab.folder / "sub" / "a (pc).txt").write_text("what the PC had")
    work = lab.folder.name
    conflicts = (
        Conflict(f"{work}/sub/a.txt", f"{work}/sub/a (pc).txt", "pc", 1.0),
        Conflict("elsewhere/b.txt", "elsewhere/b (pc).txt", "pc", 2.0),
    )
    files = FilesView(
        True, "", {}, conflicts, 2, home=str(lab.folder.parent), folder=str(lab.folder / "sub")
    )
    pc = TargetView("pc", "ready", 1.0, "", "desk", 3.25, True, 1, None, None)
    local = TargetView("local", "ready", 1.0, "", "box", None, False, None, None, None)
    return Overview(
        *("pc", 2, "auto", "rerun", 3, 2, 7, 6, None, 0, (pc, local), (), 0),
        files=files,
        environments=(),
        moved=None,
    )


async def test_both_versions_of_a_conflict_can_be_opened(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    """With the keyboard alone, from the item to the file."""
    said = with_a_conflict(lab).to_json()
    gate = await open_saying(notebook, notebook.open, "sub/conflict.ipynb", said)
    await expect(notebook.item).to_contain_text("2 conflicts")
    await notebook.item.focus()
    keyboard = notebook.page.keyboard
    await keyboard.press("Enter")
    await expect(notebook.choice("Automatic")).to_be_focused()
    ours = notebook.opener("Open the server's version, ~/work/sub/a.txt")
    theirs = notebook.opener("Open the version of pc, ~/work/sub/a (pc).txt")
    await expect(notebook.panel.get_by_role("button")).to_have_count(2)
    await notebook.picture("panel-conflict")
    async with asyncio.timeout(30):
        # R says now and then how things really are: then there are no buttons for a moment.
        while not (await notebook.tab_to(ours) and await notebook.tab_to(theirs)):
            await notebook.choice("Automatic").focus()
    await keyboard.press("Enter")
    editor = notebook.page.locator(".jp-FileEditor:visible .cm-content")
    await expect(editor).to_have_text("what the PC had")
    # The panel is that of the notebook that was in front last.
    await ours.click()
    await expect(editor).to_have_text("what the server has")
    gate.touch()
    assert notebook.errors == []


async def test_a_version_is_opened_from_notebook(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    """Which opens it in a tab of the browser, and does not say what folder it shows."""
    said = with_a_conflict(lab).to_json()
    gate = await open_saying(notebook, notebook.open_in_notebook, "sub/seven.ipynb", said)
    await expect(notebook.item).to_contain_text("2 conflicts")
    await notebook.item.click()
    await expect(notebook.panel.get_by_role("button")).to_have_count(2)
    async with notebook.page.context.expect_page() as opening:
        await notebook.opener("Open the version of pc, ~/work/sub/a (pc).txt").click()
    opened = await opening.value
    await expect(opened.locator(".jp-FileEditor .cm-content")).to_have_text("what the PC had")
    gate.touch()
    assert [error for error in notebook.errors if "relay-kernel" in error] == []


async def test_a_kernel_of_others_shows_nothing(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    lab.write("plain.ipynb", "1 + 1", kernel="python3")
    lab.write("ours.ipynb", "1 + 1")
    await notebook.open("ours.ipynb")
    await expect(notebook.item).to_be_visible()
    await notebook.page.locator(".jp-DirListing-item", has_text="plain.ipynb").dblclick()
    await expect(notebook.page.locator(".jp-Notebook")).to_have_count(2)
    await notebook.is_idle()
    await notebook.run(0)
    await expect(notebook.value(0)).to_have_text("2")
    await expect(notebook.item).to_be_hidden()
    await expect(notebook.badge(0)).to_have_count(0)
    assert "relay" not in await notebook.metadata("plain.ipynb")
    await notebook.page.locator(".lm-TabBar-tab", has_text="ours.ipynb").click()
    await expect(notebook.item).to_be_visible()
    assert notebook.errors == []


async def test_notebook_has_it_in_its_top_bar(
    lab: Lab, notebook: NotebookPage, desktop: Pc
) -> None:
    lab.write("seven.ipynb", "%relay", "x = 1")
    await notebook.open_in_notebook("seven.ipynb")
    await notebook.is_on_pc(0)
    await expect(notebook.item).to_contain_text("pc · safe up to")
    await expect(notebook.badge(0)).to_have_text("pc")
    await notebook.item.focus()
    await notebook.page.keyboard.press("Enter")
    await expect(notebook.card("pc")).to_contain_text("runs the cells")
    await notebook.choice("local").check()
    await notebook.run(1)
    await expect(notebook.badge(1)).to_have_text("local")
    await expect(notebook.item).to_contain_text("local · ")
    await notebook.picture("panel-notebook")
    await notebook.item.click()
    await expect(notebook.panel).to_be_hidden()
    # Notebook itself has an error of its own at its start.
    assert [error for error in notebook.errors if "relay-kernel" in error] == []
