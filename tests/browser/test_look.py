"""What the extension shows has names and roles for everybody, in both themes and applications."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from relay_kernel.core.overview import LeftBehind, Move
from tests.browser.test_panel import GATED, open_saying, with_a_conflict, with_everything

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

#: Texts with less contrast than WCAG 2.2 asks for (1.4.3, AA): 4.5, or 3 where they are large; and
#: marks, which are hidden from readers and say nothing alone, with less than 3 (1.4.11).
FAINT = """
(roots) => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const channels = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], below) =>
    [r, g, b].map((channel, at) => a * channel + (1 - a) * below[at]);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(channels(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const opacity = (element) =>
    (element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1);
  const light = (colour) => {
    const [r, g, b] = colour.map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = roots.flatMap((root) => [...document.querySelectorAll(`${root}, ${root} *`)])
    .filter((element) => element.checkVisibility() && !element.matches(":disabled"))
    .filter((element) => [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.data.trim()));
  const looked = texts.map((element) => {
    const style = getComputedStyle(element);
    const ground = behind(element);
    const [r, g, b, alpha] = channels(style.color);
    const ink = over([r, g, b, alpha * opacity(element)], ground);
    const lights = [light(ink), light(ground)].sort((one, other) => other - one);
    const size = parseFloat(style.fontSize);
    const mark = element.ariaHidden === "true";
    const large = mark || size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (lights[0] + 0.05) / (lights[1] + 0.05);
    return {text: element.textContent.trim().slice(0, 60), ratio, enough: large ? 3 : 4.5};
  });
  return [looked.length, looked.filter(({ratio, enough}) => ratio < enough)];
}
"""


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

    And whether their texts can be read: axe-core finds that rule inapplicable here.
    """
    opening = notebook.open if application == "lab" else notebook.open_in_notebook
    name = f"look-{application}-{theme}.ipynb"
    gate = await open_saying(notebook, opening, name, everything(lab))
    await expect(notebook.item).to_contain_text("pc lost")
    await notebook.item.click()
    await expect(notebook.card("pc")).to_contain_text("lost")
    await expect(notebook.badge(0)).to_be_visible()
    await notebook.picture(f"look-{application}-{theme}")
    assert await complaints(notebook) == []
    looked_at, faint = await notebook.page.evaluate(FAINT, list(OURS))
    assert looked_at > 30
    assert faint == []
    gate.touch()


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
