"""One notebook in one tab of a browser: what a person does there, and what a person sees."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

from playwright.async_api import expect

from relay_kernel.cli.status import collect
from tests.e2e.rig import SOON

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Locator, Page

    from relay_kernel.settings.paths import Places
    from tests.browser.lab import Lab

_ENDED = re.compile(r"\[\d+\]:")
_ON_PC = re.compile(r"pc\s*ready\s*runs the cells")
_STARTED = re.compile(r"\[(\*|\d+)\]:")
#: Of Notebook 7, whose light says "idle" also before there is a kernel.
_IS_IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.kernelDisplayStatus === 'idle'"


class NotebookPage:
    """The tab; cells are counted from 0.

    Args:
        page: an empty tab.
        lab: the server.
        places: the server's folders, where its notebooks say how they are.
        pictures: where screenshots go.
    """

    def __init__(self, page: Page, lab: Lab, places: Places, pictures: Path) -> None:
        self.page = page
        self.lab = lab
        self.errors: list[str] = []
        """What went wrong in the page itself, uncaught."""
        self._places = places
        self._pictures = pictures
        page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))

    # ------------------------------------------------------------------ open

    async def open(self, name: str) -> None:
        """Open a notebook, and wait until its kernel is idle."""
        stem = name.removesuffix(".ipynb").replace("/", "-")
        place = f"/lab/workspaces/{stem}/tree/{name}?token={self.lab.token}"
        await self.page.goto(self.lab.address + place)
        await self.is_idle()

    async def open_in_notebook(self, name: str) -> None:
        """Open a notebook in Notebook 7, and wait until its kernel is idle."""
        place = f"/notebooks/{name}?token={self.lab.token}"
        await self.page.goto(self.lab.address + place)
        await self.page.wait_for_function(_IS_IDLE)

    async def is_on_pc(self, cell: int) -> None:
        """Wait until the PC holds the state, and see with a cell of ``%relay`` that it runs."""
        async with asyncio.timeout(SOON):
            while collect(self._places)["targets"]["pc"]["phase"] != "ready":
                await asyncio.sleep(0.05)
        await self.run(cell)
        await expect(self.outputs(cell)).to_contain_text(_ON_PC)

    async def reload(self) -> None:
        """Reload the tab, and wait until the notebook shows."""
        await self.page.reload()
        await self.cell(0).wait_for()

    async def save(self) -> None:
        """Save the notebook; returns when it is on the server's disk."""
        await self.page.keyboard.press("Control+S")
        unsaved = self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")
        await expect(unsaved).to_have_count(0)

    # ------------------------------------------------------------------ cells

    def cell(self, number: int) -> Locator:
        """A code cell."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell").nth(number)

    def outputs(self, number: int) -> Locator:
        """All that a cell shows below its code."""
        return self.cell(number).locator(".jp-Cell-outputArea").first

    def value(self, number: int) -> Locator:
        """What a cell's last expression shows, without the number beside it."""
        return self.outputs(number).locator(".jp-OutputArea-executeResult .jp-OutputArea-output")

    async def printed(self, number: int) -> list[str]:
        """The lines that a cell has written to stdout."""
        streams = self.outputs(number).locator('[data-mime-type$="jupyter.stdout"]')
        return "".join(await streams.all_text_contents()).splitlines()

    def box(self, number: int) -> Locator:
        """Where a cell's question is answered."""
        return self.cell(number).locator("input.jp-Stdin-input:visible")

    def prompt(self, number: int) -> Locator:
        """``[3]:``, or ``[*]:`` of a cell that runs or waits."""
        return self.cell(number).locator(".jp-InputPrompt")

    def editor(self, number: int) -> Locator:
        """Where the code of a cell is typed."""
        return self.cell(number).locator(".cm-content")

    async def start(self, number: int) -> None:
        """Select a cell and run it, as a click and Ctrl+Enter do."""
        await self.prompt(number).click()
        await self.page.keyboard.press("Control+Enter")
        await expect(self.prompt(number)).to_have_text(_STARTED)

    async def has_ended(self, number: int) -> None:
        """Wait until a cell has its number."""
        await expect(self.prompt(number)).to_have_text(_ENDED)

    async def run(self, number: int) -> None:
        """Run a cell to its end."""
        await self.start(number)
        await self.has_ended(number)

    async def run_all(self, *numbers: int) -> None:
        """Run some cells to their end, one after the other."""
        for number in numbers:
            await self.run(number)

    async def write(self, number: int, code: str) -> None:
        """Put other code into a cell."""
        await self.editor(number).click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(code)

    # ------------------------------------------------------------------ the extension

    @property
    def item(self) -> Locator:
        """The button that says where cells run."""
        return self.page.locator("button.relay-Item")

    @property
    def panel(self) -> Locator:
        """What it opens."""
        return self.page.get_by_role("region", name="Where cells run")

    @property
    def spoken(self) -> Locator:
        """What is read out of the item when it changes."""
        return self.page.locator(".relay-ItemBox [role=status]")

    def choice(self, mode: str) -> Locator:
        """One of the places to run the next cells at."""
        return self.panel.get_by_role("radio", name=mode)

    def card(self, target: str) -> Locator:
        """What the panel says of a target."""
        strong = self.page.locator("strong", has_text=re.compile(f"^{target}$"))
        return self.panel.locator(".relay-Card").filter(has=strong)

    def opener(self, name: str) -> Locator:
        """What opens one version of a file that has two."""
        return self.panel.get_by_role("button", name=name, exact=True)

    async def tab_to(self, button: Locator) -> bool:
        """Press Tab; whether that leads to ``button``."""
        await self.page.keyboard.press("Tab")
        focused = await self.page.evaluate("document.activeElement?.ariaLabel")
        return await button.count() == 1 and focused == await button.get_attribute("aria-label")

    def badge(self, number: int) -> Locator:
        """Where a cell ran, below its number."""
        return self.cell(number).locator(".relay-Badge")

    def notice(self, text: str) -> Locator:
        """What JupyterLab shows in its corner for a while."""
        return self.page.get_by_role("alert").filter(has_text=text)

    async def metadata(self, name: str) -> str:
        """Save the notebook that is in front; the metadata of all its cells, as JSON."""
        await self.save()
        cells = json.loads((self.lab.folder / name).read_text())["cells"]
        return json.dumps([cell["metadata"] for cell in cells])

    # ------------------------------------------------------------------ the kernel

    def indicator(self, state: str) -> Locator:
        """The name of the kernel and its state, at the bottom of the window."""
        return self.page.locator(".jp-StatusBar-TextItem", has_text=f"| {state}")

    @property
    def light(self) -> Locator:
        """The kernel's light in the toolbar; it may be out of sight if that is narrow."""
        return self.page.locator(
            ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-ExecutionIndicator"
        )

    async def is_idle(self) -> None:
        """Wait until the kernel shows as idle."""
        await expect(self.indicator("Idle")).to_be_visible()
        if await self.light.count():
            await expect(self.light).to_have_attribute("data-status", "idle")

    async def is_busy(self) -> None:
        """Wait until the kernel shows as busy."""
        await expect(self.indicator("Busy")).to_be_visible()
        if await self.light.count():
            await expect(self.light).to_have_attribute("data-status", "busy")

    async def interrupt(self) -> None:
        """Press Stop."""
        await self.page.locator('[data-command="notebook:interrupt-kernel"]').click()

    async def restart(self) -> None:
        """Press Restart, and agree."""
        await self.page.locator('[data-command="notebook:restart-kernel"]').click()
        await self.page.locator(".jp-Dialog").get_by_role("button", name="Confirm").click()

    async def clear_outputs(self) -> None:
        """Edit, Clear Outputs of All Cells."""
        menus = self.page.get_by_role("menubar")
        await menus.get_by_role("menuitem", name="Edit").click()
        await self.page.get_by_role("menuitem", name="Clear Outputs of All Cells").click()

    async def picture(self, name: str) -> None:
        """Keep a picture of the tab, for a person to look at."""
        await self.page.screenshot(path=self._pictures / f"{name}.png")
