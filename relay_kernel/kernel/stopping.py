"""The user presses stop: the kernel that runs the cell shall hear it, however soon that is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.core.router import Router
    from relay_kernel.kernel.cells import Cell, Cells
    from relay_kernel.kernel.targets import TargetLink

#: Seconds from a kernel's word that it begins a cell to the first line of it.
BEGIN = 0.05


class Stopping:
    """Interrupts; once more where the kernel had not begun the cell, and took no notice."""

    def __init__(self, router: Router, links: dict[str, TargetLink], cells: Cells) -> None:
        self._router = router
        self._links = links
        self._cells = cells

    def interrupt(self, target: str) -> None:
        """Interrupt what runs at ``target``."""
        self._links[target].interrupt()
        running = self._router.running
        cell = self._cells[running.number] if running else None
        if cell and not cell.began:
            cell.stopped = True

    def begun(self, cell: Cell) -> None:
        """The kernel says that it begins ``cell``."""
        cell.began = True
        if cell.stopped:
            loop = asyncio.get_running_loop()
            loop.call_later(BEGIN, self._interrupt_late, cell.number, cell.epoch)

    def _interrupt_late(self, number: int, epoch: int) -> None:
        running = self._router.running
        if running and (running.number, running.epoch) == (number, epoch):
            self._links[self._router.primary].interrupt()
