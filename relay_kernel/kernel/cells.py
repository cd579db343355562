"""The execute_requests of one notebook, from their arrival to their reply and idle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay_kernel.core.model import Run
from relay_kernel.core.shown import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.core.directives import Directives
    from relay_kernel.wire.kernel_frames import KernelFrames


@dataclass
class Cell:
    """One execute_request."""

    number: int
    request: KernelFrames
    silent: bool
    directives: Directives
    target: str = ""
    epoch: int = 0
    run: Run = Run.FIRST
    reason: str = ""
    busy: bool = False
    """Front ends saw its busy."""
    replied: bool = False
    idle: bool = False
    last: KernelFrames | None = None
    """Its idle, which came before its reply and is passed on after it."""
    began: bool = False
    """The kernel that runs it now has begun it."""
    stopped: bool = False
    """The user pressed stop before that."""
    count: int | None = None
    """Its execution count, once a kernel has answered it."""
    ended: bool = False
    """R itself ended it: what a kernel still says of it is stale."""
    shown: Shown = field(default_factory=Shown)
    untold: list[str] = field(default_factory=list)
    """Notices that wait for the cell to begin."""

    @property
    def client(self) -> object:
        """The session of the client that sent it."""
        return self.request.header.get("session")


class Cells:
    """All cells by number and by message id.

    The requests of cells whose state is kept are of no more use; who ran them is remembered, so
    that stale output of a lost target can be told from that of threads a cell left behind.
    """

    def __init__(self) -> None:
        self._by_number: dict[int, Cell] = {}
        self._by_id: dict[str, Cell] = {}
        self.renamed: dict[str, str] = {}
        """By display id of a run that was not shown, the id that front ends know."""
        self._last = 0
        self._forgotten = 0

    def add(self, request: KernelFrames, *, silent: bool, directives: Directives) -> Cell:
        """A new cell, with the next number."""
        # A state that is put back counts as that of a cell of its own.
        self._last += 1 if directives.restore is None else 2
        cell = Cell(self._last, request, silent, directives, shown=Shown(self.renamed))
        self._by_number[cell.number] = self._by_id[request.id] = cell
        return cell

    def __getitem__(self, number: int) -> Cell:
        return self._by_number[number]

    def of(self, message_id: str) -> Cell | None:
        """The cell whose request has this message id."""
        return self._by_id.get(message_id)

    def count_after(self, number: int) -> int:
        """The execution count when the cell ``number`` had ended; 0: before the first."""
        while number > 0:
            cell = self._by_number.get(number)
            if cell and cell.count is not None:
                return cell.count
            number -= 1
        return 0

    def forget(self, kept: int) -> None:
        """The cells up to ``kept`` will never run again: drop what they showed."""
        for number in range(self._forgotten + 1, kept + 1):
            cell = self._by_number.get(number)
            if cell and cell.replied:
                cell.shown = Shown(self.renamed)
                cell.request.body[3:] = [b"{}"]
        self._forgotten = max(self._forgotten, kept)

    def unfinished(self) -> Iterator[Cell]:
        """The cells that still lack their reply or their idle."""
        return (cell for cell in self._by_number.values() if not (cell.replied and cell.idle))
