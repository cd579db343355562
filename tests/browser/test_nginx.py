"""JupyterLab behind nginx, as the guide sets it up: cells, widgets and large notebooks pass."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import nbformat
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.nginx import NAME, lab_behind_nginx
from tests.browser.page import NotebookPage
from tests.browser.test_widgets import SLIDER
from tests.e2e.rig import SOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser

    from relay_kernel.settings.paths import Places
    from tests.browser.lab import Lab
    from tests.e2e.rig import Pc

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.browser,
    pytest.mark.sshd,
]

#: Some 1.6 MB of noise, so more than the megabyte that nginx lets through by default.
PICTURE = """\
import io, numpy, matplotlib.pyplot as plt
from IPython.display import Image
file = io.BytesIO()
plt.imsave(file, numpy.random.default_rng(1).random((600, 900, 3)), format="png")
Image(file.getvalue())
"""


@pytest_asyncio.fixture(loop_scope="package")
async def behind(server: Places, desktop: Pc, tmp_path: Path) -> AsyncIterator[Lab]:
    """A lab of its own, behind an nginx."""
    async with lab_behind_nginx(tmp_path, server.config.parent) as lab:
        yield lab


async def test_a_notebook_behind_nginx(
    behind: Lab, browser: Browser, server: Places, pictures: Path
) -> None:
    behind.write("proxied.ipynb", "%relay", SLIDER, PICTURE)
    context = await browser.new_context(
        viewport={"width": 1200, "height": 900}, ignore_https_errors=True
    )
    context.set_default_timeout(SOON * 1000)
    notebook = NotebookPage(await context.new_page(), behind, server, pictures)
    sockets: list[str] = []
    notebook.page.on("websocket", lambda opened: sockets.append(opened.url))
    await notebook.open("proxied.ipynb")
    await notebook.is_on_pc(0)

    await notebook.run(1)
    handle = notebook.outputs(1).locator(".noUi-handle")
    await handle.focus()
    await notebook.page.keyboard.press("ArrowRight")
    await expect(notebook.outputs(1)).to_contain_text("moved to 6")

    await notebook.run(2)
    image = notebook.outputs(2).locator("img")
    await expect(image).to_be_visible()
    assert await image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 900
    await expect(notebook.page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(1)
    await notebook.save()
    await notebook.picture("behind-nginx")
    await context.close()

    saved = nbformat.read(behind.folder / "proxied.ipynb", as_version=4)
    (picture,) = [o.data["image/png"] for o in saved.cells[2].outputs if "data" in o]
    assert len(base64.b64decode(picture)) > 1_000_000
    kernels = [url for url in sockets if "/jupyter/api/kernels/" in url]
    assert kernels
    assert all(url.startswith(f"wss://{NAME}:") for url in kernels)
    assert notebook.errors == []
