"""Requests beside the cells: what front ends see of one does not depend on where it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_client.session import Session

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.kernel.switchboard import Switchboard
from relay_kernel.wire.kernel_frames import KernelFrames, split
from tests.kernel.rig import PC, Notebook, notebook

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

SESSION = Session(key=b"somebody's")


def message(channel: str, kind: str, content: dict[str, Any], parent: Any = None) -> KernelFrames:
    """A message as it comes over a socket."""
    made = SESSION.msg(kind, content, parent=parent)
    return split(channel, SESSION.serialize(made, ident=b"somebody"))[0]


def board(book: Notebook) -> Switchboard:
    """With a kernel at the PC, which is the primary, and one here."""
    book.feed(ev.TargetOpened(PC), ev.KernelStarted(PC))
    book.run(1, PC)
    return Switchboard(book.router, book.links, {PC: {}, LOCAL: {}}, front=None)  # type: ignore[arg-type]


async def test_the_idle_of_a_question_waits_for_its_answer(places: Places) -> None:
    """Else a PC that is lost between the two lets the server say busy again after that idle."""
    switchboard = board(notebook(places))
    request = message("shell", "is_complete_request", {"code": "1"})
    switchboard.take(request)
    parent = {"header": request.header}
    busy = message("iopub", "status", {"execution_state": "busy"}, parent)
    idle = message("iopub", "status", {"execution_state": "idle"}, parent)
    answer = message("shell", "is_complete_reply", {"status": "complete"}, parent)
    assert switchboard.look(PC, busy)
    assert not switchboard.look(PC, idle)
    assert switchboard.idle_after(busy) is None
    assert switchboard.look(PC, answer)
    assert switchboard.idle_after(answer) == idle


async def test_one_that_is_asked_again_elsewhere_is_idle_once(places: Places) -> None:
    switchboard = board(notebook(places))
    request = message("shell", "is_complete_request", {"code": "1"})
    switchboard.take(request)
    parent = {"header": request.header}
    idle = message("iopub", "status", {"execution_state": "idle"}, parent)
    answer = message("shell", "is_complete_reply", {"status": "complete"}, parent)
    assert not switchboard.look(PC, idle)
    switchboard.lost(PC, "the power went", for_good=True)
    assert not switchboard.look(PC, answer)
    assert switchboard.look(LOCAL, answer)
    assert switchboard.idle_after(answer) is None
    assert switchboard.look(LOCAL, idle)
