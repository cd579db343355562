"""JupyterLab as a person sees it: a kernel is installed, and its mirror has a tile to start it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.conftest import FLAGS, find_chromium
from tests.browser.lab import SETTINGS
from tests.e2e.rig import SOON
from tests.mirror.rig import LISTED

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.mirror.rig import Jupyter

pytestmark = pytest.mark.browser

QUIET = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: ``RELAY_PICTURES``, for a person to look at."""
    folder = Path(os.environ.get("RELAY_PICTURES") or tmp_path / "pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_settings(jupyter: Jupyter) -> None:
    """No news, no updates."""
    folder = jupyter.home / "settings"
    jupyter.env["JUPYTERLAB_SETTINGS_DIR"] = str(folder)
    jupyter.env["JUPYTERLAB_WORKSPACES_DIR"] = str(jupyter.home / "workspaces")
    for name, settings in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))


@pytest.mark.alone
async def test_a_tile_for_a_kernel_that_was_just_installed(
    jupyter: Jupyter, pictures: Path
) -> None:
    write_settings(jupyter)
    executable = find_chromium()
    expect.set_options(timeout=SOON * 1000)
    async with jupyter.server(*QUIET, app="jupyterlab") as server, async_playwright() as play:
        browser = await play.chromium.launch(executable_path=executable, args=FLAGS.split())
        page = await browser.new_page(viewport={"width": 1200, "height": 900})
        await page.goto(server.address("/lab"))
        await expect(tile(page, "Python 3 (ipykernel) (relay)")).to_be_visible()
        await expect(tile(page, "Science (relay)")).to_have_count(0)

        await asyncio.to_thread(jupyter.install_kernel, "science", "--display-name", "Science")
        began = time.monotonic()
        await expect(tile(page, "Science (relay)")).to_be_visible()
        assert time.monotonic() - began < 2 * LISTED
        logo = tile(page, "Science (relay)").locator("img")
        await expect(logo).to_be_visible()
        assert await logo.evaluate("image => image.complete && image.naturalWidth") > 0
        await page.screenshot(path=pictures / "mirror-launcher.png")

        await tile(page, "Science (relay)").click()
        await expect(page.locator(".jp-StatusBar-TextItem", has_text="| Idle")).to_be_visible()
        await page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        await page.keyboard.insert_text("import sys; print(sys.prefix)\n%relay")
        await page.keyboard.press("Control+Enter")
        output = page.locator(".jp-Notebook .jp-CodeCell .jp-Cell-outputArea").first
        await expect(output).to_contain_text(re.compile(r"local\s*ready\s*runs the cells"))
        await expect(output).to_contain_text(str(jupyter.prefix))
        await page.screenshot(path=pictures / "mirror-notebook.png")
        await browser.close()


def tile(page: Page, name: str):
    """The tile of a notebook with that kernel."""
    cards = page.locator('.jp-LauncherCard[data-category="Notebook"]')
    return cards.filter(has=page.get_by_text(name, exact=True))
