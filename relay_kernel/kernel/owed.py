"""Idles that a target owes which went quiet between a cell's reply and its idle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relay_kernel.core.model import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.core.router import Router
    from relay_kernel.kernel.cells import Cell, Cells


class Owed:
    """Ends such a cell when its target has been quiet for as long as a running cell may wait.

    The router takes a cell for finished once it is answered, and would wait for the target for
    ever; a client that waits for the idle before it sends the next cell would wait as long.

    Args:
        router: knows who is quiet.
        cells: of the notebook.
        end: ends a cell that has its reply.
    """

    def __init__(self, router: Router, cells: Cells, end: Callable[[Cell], None]) -> None:
        self._router = router
        self._cells = cells
        self._end = end
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Look again, after every event."""
        if self._timer is None and (owed := self._owed()):
            loop = asyncio.get_running_loop()
            patience = self._router.policy.lost_after
            self._timer = loop.call_later(patience, self._over, frozenset(c.number for c in owed))

    def _owed(self) -> list[Cell]:
        quiet = {name for name, t in self._router.targets.items() if t.phase is Phase.QUIET}
        if not quiet:
            return []
        return [c for c in self._cells.unfinished() if c.replied and c.target in quiet]

    def _over(self, waited: frozenset[int]) -> None:
        self._timer = None
        for cell in self._owed():
            if cell.number in waited:
                self._end(cell)
        self.watch()
