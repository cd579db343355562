"""What the extension shows has names and roles for everybody, in both themes and applications."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from relay_kernel.core.overview import LeftBehind, Move
from tests.browser.test_panel import GATED, SAYS, with_a_conflict, with_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.browser.lab import Lab
    from tests.browser.page import NotebookPage
    from tests.e2e.rig import Pc

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.browser,
    pytest.mark.sshd,
]

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

#: What is ours in the page; all else is JupyterLab's.
OURS = (".relay-Panel", ".relay-ItemBox", ".relay-Badge")


@pytest_asyncio.fixture(loop_scope="package", params=THEMES)
async def theme(request: pytest.FixtureRequest, lab: Lab) -> AsyncIterator[str]:
    """The name of a theme, in which pages are opened."""
    await lab.use_theme(THEMES[request.param])
    yield request.param
    await lab.use_theme(THEMES["light"])


def everything(lab: Lab) -> dict[str, Any]:
    """An overview with something in every part, a lost PC and a conflict that can be opened."""
    found = with_everything()
    pc, local = found.targets
    away = replace(pc, phase="absent", is_primary=False, reason="the PC has said goodbye")
    moved = Move(2, "pc", "local", 1.0, True, False, "pc was lost", "silent for 60 s")
    return replace(
        found,
        primary="local",
        targets=(away, replace(local, is_primary=True, filling_cell=None, usage=pc.usage)),
        left_behind=(LeftBehind("lock", "lock", "pc", "a lock cannot be pickled"),),
        left_behind_total=1,
        files=replace(with_a_conflict(lab).files, pending={"pc": 3}),
        moved=moved,
    ).to_json()


async def complaints(notebook: NotebookPage) -> list[str]:
    """What axe-core finds wrong in what is ours."""
    context = {"include": [[each] for each in OURS]}
    found = await Axe().run(notebook.page, context=context)
    looked_at = {rule["id"] for rule in found.response["passes"]}
    assert {"button-name", "list", "aria-meter-name"} <= looked_at, looked_at
    return [
        f"{rule['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("application", ["lab", "notebook"])
async def test_axe_finds_nothing(
    lab: Lab, notebook: NotebookPage, desktop: Pc, theme: str, application: str
) -> None:
    """Names and roles of all that the panel, the item and the badges can show.

    Not contrast: axe-core finds that rule inapplicable here, and says nothing of it.
    """
    name = f"look-{application}-{theme}.ipynb"
    (lab.folder / "said").unlink(missing_ok=True)
    lab.write(name, SAYS.format(said=everything(lab)), "%relay local")
    opening = notebook.open if application == "lab" else notebook.open_in_notebook
    await opening(name)
    await notebook.run(1)
    await notebook.start(0)
    await expect(notebook.item).to_contain_text("pc lost")
    await notebook.item.click()
    await expect(notebook.card("pc")).to_contain_text("lost")
    await expect(notebook.badge(0)).to_be_visible()
    await notebook.picture(f"look-{application}-{theme}")
    assert await complaints(notebook) == []
    (lab.folder / "said").touch()


async def test_notebook_tells_that_the_role_moved(
    lab: Lab, notebook: NotebookPage, desktop: Pc, theme: str
) -> None:
    """A notice, and the same words for a screen reader, when the PC is lost and when it is back."""
    name = f"moved-{theme}"
    lab.write(f"{name}.ipynb", "%relay", GATED.format(name=name), "x = 1")
    await notebook.open_in_notebook(f"{name}.ipynb")
    await notebook.is_on_pc(0)
    await notebook.start(1)
    await expect(notebook.outputs(1)).to_contain_text("waits")
    desktop.lose_power()
    await expect(notebook.notice("pc was lost: the notebook goes on at local.")).to_be_visible()
    await expect(notebook.spoken).to_have_text("Cells run at local. pc is lost")
    await notebook.picture(f"notice-notebook-lost-{theme}")
    await notebook.notice("pc was lost").get_by_role("button", name="Show").click()
    await expect(notebook.card("pc")).to_contain_text("lost")
    (lab.folder / name).touch()
    await notebook.has_ended(1)
    desktop.boot()
    await notebook.is_on_pc(0)
    await expect(notebook.notice("pc is back and holds the variables")).to_be_visible()
    await notebook.picture(f"notice-notebook-back-{theme}")
    assert [error for error in notebook.errors if "relay-kernel" in error] == []
