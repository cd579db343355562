"""The clients that people use: nbclient, jupyter console, JupyterLab in a browser."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from relay_kernel.cli.status import collect
from relay_kernel.settings.paths import find_places
from tests.e2e.rig import REPO, SOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.e2e.rig import Pc

#: Where screenshots go, for a person to look at.
SHOTS = os.environ.get("RELAY_SCREENSHOTS")


@pytest.fixture
def jupyter_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the kernelspec as a user would, into a Jupyter of its own."""
    data = tmp_path / "jupyter"
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(data))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    command = [sys.executable, "-m", "jupyter", "kernelspec", "install", "--user"]
    subprocess.run([*command, str(REPO / "kernelspecs" / "relay")], check=True, capture_output=True)
    assert (data / "kernels" / "relay" / "kernel.json").exists()
    return data


def a_notebook(*cells: str) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": "relay", "display_name": "", "language": "python"}
    return made


@pytest.mark.usefixtures("server", "jupyter_path")
async def test_nbclient_runs_a_notebook() -> None:
    from nbclient import NotebookClient

    made = a_notebook("x = 20", "print(x + 1)", "x * 2 + 2", "%relay")
    await NotebookClient(made, timeout=60).async_execute()
    printed, computed, shown = (cell.outputs[0] for cell in made.cells[1:])
    assert printed.text == "21\n"
    assert computed.data["text/plain"] == "42"
    assert "runs the cells" in shown.text
    assert made.cells[2].execution_count == 3


@pytest.mark.usefixtures("server", "jupyter_path")
def test_console_runs_a_cell() -> None:
    command = [sys.executable, "-m", "jupyter", "console", "--kernel", "relay", "--simple-prompt"]
    done = subprocess.run(
        command,
        input="6 * 7\nprint('one', 'line')\nexit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Out[1]: 42" in done.stdout, done.stdout + done.stderr
    assert "one line" in done.stdout


@asynccontextmanager
async def jupyterlab(folder: Path) -> AsyncIterator[str]:
    """JupyterLab in ``folder``; yields its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
        *("--ServerApp.token=", "--ServerApp.password=", "--ServerApp.port=0"),
        *(
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async with asyncio.timeout(60):
            async for line in process.stderr:
                found = [w for w in line.decode().split() if w.startswith("http://127.0.0.1:")]
                if found:
                    break
        drained = asyncio.ensure_future(process.stderr.read())
        yield found[0].split("/lab")[0].rstrip("/")
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), SOON)
        await drained


def find_chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing")
        pytest.skip("needs chromium")
    return found


@asynccontextmanager
async def a_page(folder: Path) -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright

    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    flags += " --disable-background-networking --disable-component-update"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=flags.split()
        )
        page = await browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(60_000)
        try:
            yield page
        finally:
            if SHOTS:
                await page.screenshot(path=f"{SHOTS}/{folder.name}.png")
            await browser.close()


@pytest.mark.browser
@pytest.mark.sshd
@pytest.mark.usefixtures("jupyter_path")
@pytest.mark.timeout(180)
async def test_jupyterlab_runs_a_notebook_that_loses_its_pc(desktop: Pc, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    slow = "import time\nfor i in range(40):\n    print('step', i, flush=True); time.sleep(0.1)"
    made = a_notebook("x = 40", "x + 2", slow, "x += 1\nprint('x is', x)", "%relay")
    nbformat.write(made, work / "demo.ipynb")
    async with jupyterlab(work) as address, a_page(tmp_path) as page:
        await page.goto(f"{address}/lab/tree/demo.ipynb")
        outputs = page.locator(".jp-OutputArea-output")
        await page.get_by_text("Python 3 (relay) | Idle").wait_for()
        for _ in range(2):
            await page.keyboard.press("Shift+Enter")
        await outputs.get_by_text("42", exact=True).wait_for()
        # The PC is connected while the first cells run here; the next one is to run on it.
        async with asyncio.timeout(SOON):
            while collect(find_places())["targets"]["pc"]["phase"] != "ready":
                await asyncio.sleep(0.1)
        await page.keyboard.press("Shift+Enter")
        await outputs.get_by_text("step 5").wait_for()
        desktop.lose_power()
        await outputs.get_by_text("step 39").wait_for()
        for _ in range(2):
            await page.keyboard.press("Shift+Enter")
        await outputs.get_by_text("x is 41").wait_for()
        await outputs.get_by_text("runs the cells").wait_for()
        text = await page.locator(".jp-Notebook").inner_text()
        assert "pc was lost" in text
        assert text.count("step 7\n") == 1
