"""A cell that was answered ends, also when its target falls silent before it says idle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_client.session import Session

from relay_kernel.core import events as ev
from relay_kernel.core.directives import parse
from relay_kernel.core.model import Policy
from relay_kernel.kernel.cells import Cell, Cells
from relay_kernel.kernel.owed import Owed
from relay_kernel.wire.kernel_frames import split
from tests.kernel.rig import PC, Notebook, notebook

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places


def answered(cells: Cells) -> Cell:
    """A cell that ran at the PC, and whose idle has not come."""
    session = Session(key=b"somebody's")
    request = session.serialize(session.msg("execute_request", {"code": "1"}), ident=b"x")
    cell = cells.add(split("shell", request)[0], silent=False, directives=parse("1"))
    cell.target, cell.replied = PC, True
    return cell


def at_the_pc(places: Places) -> Notebook:
    book = notebook(places)
    book.router.policy = Policy(lost_after=0.05)
    book.feed(ev.TargetOpened(PC), ev.KernelStarted(PC))
    return book


async def test_its_target_is_quiet_for_too_long(places: Places) -> None:
    book, cells, ended = at_the_pc(places), Cells(), asyncio.Event()
    cell = answered(cells)

    def end(given: Cell) -> None:
        assert given is cell
        cell.idle = True
        ended.set()

    owed = Owed(book.router, cells, end)
    owed.watch()
    assert owed._timer is None, "a target that is there will say it"
    book.feed(ev.LinkClosed(PC, "the link was cut"))
    owed.watch()
    await asyncio.wait_for(ended.wait(), 5)


async def test_it_comes_back_in_time(places: Places) -> None:
    book, cells, ended = at_the_pc(places), Cells(), []
    answered(cells)
    owed = Owed(book.router, cells, ended.append)
    book.feed(ev.LinkClosed(PC, "the link was cut"))
    owed.watch()
    book.feed(ev.TargetResumed(PC))
    async with asyncio.timeout(5):
        while owed._timer is not None:
            await asyncio.sleep(0.01)
    assert ended == []
