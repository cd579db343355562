"""A cell begins when its target has the files and packages that were there when it was sent."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

from relay_kernel.core.model import LOCAL, Run
from relay_kernel.files import report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relay_kernel.kernel.cells import Cell
    from relay_kernel.kernel.files import NotebookFiles
    from relay_kernel.kernel.voice import Voice

log = logging.getLogger(__name__)

#: Seconds for which a cell waits for files. What takes longer is told, and then not waited for.
BOUND = 2.0
#: Seconds for which a cell that runs elsewhere than the one before waits for packages, if any were
#: installed meanwhile.
PACKAGES = 60.0
#: A line that may install something, whoever runs it.
_INSTALLS = re.compile(
    r"\b(pip|uv|conda|mamba|micromamba)\b.*\b(install|uninstall|remove|sync|add)\b"
)
_FILES, _WAIT = "files", "wait"


class Barrier:
    """Holds one cell back at a time: the one that the router has just sent off.

    Args:
        files: of the notebook.
        voice: for what is said in the cell.
        until_safe: returns when the state after the last cell is on the server's disk.
    """

    def __init__(
        self, files: NotebookFiles, voice: Voice, until_safe: Callable[[], Awaitable[None]]
    ) -> None:
        self._files = files
        self._voice = voice
        self._until_safe = until_safe
        self._holding: asyncio.Task[None] | None = None
        self._target = ""
        self._before = LOCAL
        self._installed = False
        self._hurry = asyncio.Event()
        #: By target: what was told to be late.
        self._late: dict[str, set[str]] = {}
        self._many: set[str] = set()
        self.said: dict[tuple[str, ...], tuple[str, bool]] = {}
        """What ``%relay files …`` lines of the cell were answered, by their words."""

    def before(self, cell: Cell, go: Callable[[], None]) -> None:
        """Call ``go`` when the files are there; at once where none are kept equal.

        A cell that was held back before is forgotten: the router has given it up.
        """
        self.forget(self._target)
        self._target = cell.target
        asked = [words for words in cell.directives.lines if words[:1] in {(_FILES,), (_WAIT,)}]
        if cell.run is Run.SILENT:
            # They were answered when the user saw it run.
            asked = []
        awaited = self._awaited(cell)
        if asked or awaited or self._files.in_use:
            self._hurry.clear()
            self._holding = asyncio.ensure_future(self._hold(cell, asked, awaited, go))
        else:
            go()

    def _awaited(self, cell: Cell) -> str:
        """The target with which packages must be equal before this cell; empty: none."""
        before, self._before = self._before, cell.target
        moves = before != cell.target
        awaited = (cell.target if before == LOCAL else before) if moves and self._installed else ""
        code = str(cell.request.content.get("code", ""))
        self._installed = bool(_INSTALLS.search(code)) or (self._installed and not moves)
        return awaited

    def forget(self, target: str) -> None:
        """A target is given up, and with it the cell that was held back for it."""
        if self._holding is not None and self._target == target:
            self._holding.cancel()
            self._holding = None

    def hurry(self) -> None:
        """The user pressed stop: the cell goes on to its kernel, to be stopped there."""
        self._hurry.set()

    async def _hold(
        self, cell: Cell, asked: list[tuple[str, ...]], awaited: str, go: Callable[[], None]
    ) -> None:
        work = asyncio.ensure_future(self._wait(cell, asked, awaited))
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({work, hurry}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            hurry.cancel()
        (failure,) = await asyncio.gather(work, return_exceptions=True)
        if isinstance(failure, Exception):
            log.error("files: a cell went on without: %r", failure)
        if not cell.ended:
            go()

    async def _wait(self, cell: Cell, asked: list[tuple[str, ...]], awaited: str) -> None:
        if awaited and not await self._files.has_packages(awaited, PACKAGES):
            self._voice.tell(
                cell,
                f"what was installed is not there yet both here and at {awaited}: "
                "see `relay kernels`",
            )
        if (_WAIT,) in asked:
            self._voice.begin(cell)
            await self._until_safe()
        if (_FILES, _WAIT) in asked:
            self._voice.begin(cell)
            self._voice.tell(cell, "waiting until all files are equal; stop goes on without")
        files = [words for words in asked if words[0] == _FILES]
        self.said = {words: await self._files.answer(words[1:]) for words in files}
        towards = "server" if cell.target == LOCAL else "target"
        name = "" if cell.target == LOCAL else cell.target
        beside = self._late.get(cell.target, set())
        # Where there is so much that an answer does not name it, it was told once, too.
        told = cell.target in self._many
        bound = 0.0 if told else BOUND
        found, more = await self._files.barrier(name, towards, bound, beside)
        new = [] if told else [one for one in found if one["path"] not in beside]
        self._late[cell.target] = {one["path"] for one in found}
        (self._many.add if more else self._many.discard)(cell.target)
        if new:
            where = "on the server" if cell.target == LOCAL else f"at {cell.target}"
            self._voice.tell(
                cell,
                f"files that are not {where} yet as they are elsewhere: "
                f"{report.missing(new, more)}; see `%relay files`",
            )
