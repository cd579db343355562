"""A notebook whose folder is kept equal on both machines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.e2e.rig import SOON

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.rig import Notebook, Pc


class Book:
    """A notebook in ``~/work`` of the server, and the same folder of the PC."""

    def __init__(self, notebook: Notebook, desktop: Pc, here: Path) -> None:
        self.notebook = notebook
        self.desktop = desktop
        self.here = here
        self.there = desktop.sshd.home / "work"

    async def linked(self) -> None:
        """Wait until the folder is kept equal."""
        async with asyncio.timeout(SOON):
            while "work and pc: equal" not in (await self.notebook.run("%relay files")).text():
                await asyncio.sleep(0.05)
