"""The panel's packages, told by a real plane: a PC falls behind, and catches up."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.lab import jupyterlab
from tests.browser.page import NotebookPage
from tests.e2e.rig import SOON
from tests.envs.conftest import cache, env, kernel_env
from tests.envs.rig import a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser

    from relay_kernel.settings.paths import Places
    from tests.browser.lab import Lab
    from tests.envs.rig import Env, World

__all__ = ["cache", "env", "kernel_env"]

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.browser,
    pytest.mark.sshd,
    pytest.mark.timeout(300),
]


@pytest_asyncio.fixture(loop_scope="package")
async def world(
    places: Places,
    browser: Browser,
    kernel_env: Env,
    cache: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """A server whose kernel ``mine`` has an environment of its own, and a PC that is on."""
    data = tmp_path / "lab" / "data"
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(data))
    with a_world(places, tmp_path, data, {"UV_CACHE_DIR": cache, "UV_OFFLINE": "1"}) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="package")
async def lab(world: World, kernel_env: Env, tmp_path: Path) -> AsyncIterator[Lab]:
    """JupyterLab with that kernel, and R for it."""
    async with jupyterlab(tmp_path / "lab", world.places.config.parent) as lab:
        world.install_kernel("mine", kernel_env)
        argv = [sys.executable, "-m", "relay_kernel", "-f", "{connection_file}", "--spec", "mine"]
        spec = {"argv": argv, "display_name": "Mine (relay)", "language": "python"}
        own = world.data / "kernels" / "relay-mine"
        own.mkdir(exist_ok=True)
        (own / "kernel.json").write_text(json.dumps({**spec, "interrupt_mode": "message"}))
        yield lab
        await lab.shut_down_kernels()


@pytest_asyncio.fixture(loop_scope="package")
async def notebook(
    lab: Lab, world: World, browser: Browser, pictures: Path
) -> AsyncIterator[NotebookPage]:
    """A tab."""
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(SOON * 1000)
    yield NotebookPage(await context.new_page(), lab, world.places, pictures)
    await context.close()


async def test_packages_that_the_pc_lacks_are_shown_until_it_has_them(
    world: World, lab: Lab, notebook: NotebookPage, kernel_env: Env
) -> None:
    packages = notebook.panel.get_by_role("list", name="Environments")
    differences = notebook.panel.get_by_role("list", name="Differences")
    lab.write("drift.ipynb", "%relay", kernel="relay-mine")
    async with world:
        await world.phase("mine", "ready")
        await notebook.open("drift.ipynb")
        await notebook.is_on_pc(0)
        await notebook.item.click()
        await expect(packages).to_contain_text("pc: ready, no differences")
        await expect(differences).to_have_count(0)

        # A package is installed here, and the PC stands still as soon as it is known to lack it.
        kernel_env.add_fake("newer", "2.0")
        await world.until(lambda: world.state("mine")["drift"])
        world.pc.pause()
        await expect(differences).to_contain_text("newer 2.0 is missing")
        await expect(packages).to_contain_text("1 difference")
        await notebook.picture("panel-drift")

        world.pc.resume()
        await expect(packages).to_contain_text("pc: ready, no differences")
        await expect(differences).to_have_count(0)
        assert world.versions("mine")["newer"] == "2.0"
    assert notebook.errors == []
