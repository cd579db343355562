"""Fixtures of the browser tests: one server, one browser and one PC for the whole folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from relay_kernel.settings.paths import find_places
from tests.browser.lab import jupyterlab
from tests.browser.page import NotebookPage
from tests.conftest import end_hub
from tests.e2e.rig import SOON, Pc, configure, without_planes
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from playwright.async_api import Browser

    from relay_kernel.settings.paths import Places
    from tests.browser.lab import Lab

FLAGS = """
    --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update
"""


def find_chromium() -> str:
    """The browser's binary; without one the test is skipped, in CI it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing")
        pytest.skip("needs chromium")
    return found


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """The server's folders, without a hub left behind."""
    home = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAY_HOME", str(home))
        places = find_places().make()
    yield places
    end_hub(places)


@pytest.fixture(scope="package")
def machine(server: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pc]:
    """A paired PC. A lost link is given up after 4 s, so that tests are short."""
    with Sshd(tmp_path_factory.mktemp("pc")) as sshd:
        pc = Pc(sshd, server)
        without_planes(server)
        configure(server, lost_after=4.0, wait_at_submit=2.0, heartbeat=0.5)
        yield pc
        pc.close()


@pytest.fixture
def desktop(machine: Pc) -> Pc:
    """The PC, which is on when a test begins."""
    if not machine.sshd.is_running:
        machine.boot()
    return machine


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def lab(
    server: Places, machine: Pc, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lab]:
    """JupyterLab on the server."""
    async with jupyterlab(tmp_path_factory.mktemp("lab"), server.config.parent) as lab:
        yield lab


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, with no window."""
    expect.set_options(timeout=SOON * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=FLAGS.split()
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: ``RELAY_PICTURES``, for a person to look at."""
    folder = Path(os.environ.get("RELAY_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest_asyncio.fixture(loop_scope="package")
async def new_tab(
    lab: Lab, browser: Browser, server: Places, pictures: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Callable[[], Awaitable[NotebookPage]]]:
    """Opens tabs, each as in a browser that has seen nothing yet. At the end, no kernel runs."""
    opened: list[NotebookPage] = []

    async def new() -> NotebookPage:
        context = await browser.new_context(viewport={"width": 1200, "height": 900})
        context.set_default_timeout(SOON * 1000)
        opened.append(NotebookPage(await context.new_page(), lab, server, pictures))
        return opened[-1]

    yield new
    for number, notebook in enumerate(opened):
        await notebook.picture(f"end-{request.node.name}-{number}")
        await notebook.page.context.close()
    await lab.shut_down_kernels()


@pytest_asyncio.fixture(loop_scope="package")
async def notebook(new_tab: Callable[[], Awaitable[NotebookPage]]) -> NotebookPage:
    """A tab."""
    return await new_tab()
