"""What front ends see of a cell whose target is lost at an awkward moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.session import Session

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL, Run
from relay_kernel.kernel.frontend import FrontEnd
from relay_kernel.kernel.relay import Relay
from relay_kernel.kernel.setup import Setup
from relay_kernel.kernel.status import StatusFile
from relay_kernel.wire.kernel_frames import KernelFrames, pack, split
from tests.kernel.rig import PC, notebook

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

SESSION = Session(key=b"somebody's")


class Heard(FrontEnd):
    """No front end is connected; what one would hear is kept."""

    def __init__(self) -> None:
        super().__init__(SESSION, {}, lambda message: None, {})
        self.said: list[str] = []
        self.sent: list[KernelFrames] = []
        self.published: list[tuple[str, dict[str, Any]]] = []

    def send(self, message: KernelFrames) -> None:
        self.sent.append(message)
        self._hear(message.type, message.content)

    def _make(self, channel: str, msg_type: str, content: dict[str, Any], *_: Any) -> None:
        self.published.append((msg_type, content))
        self._hear(msg_type, content)

    def _hear(self, msg_type: str, content: dict[str, Any]) -> None:
        self.said.append(content.get("execution_state", msg_type))


class Book:
    """R with one cell on its way at the PC; kernels are played by the test."""

    def __init__(self, places: Places) -> None:
        made = notebook(places)
        setup = Setup("book", "python3")
        status = StatusFile(places.run / "book.json", setup, made.router, made.links, made.state)
        self.front = Heard()
        self.relay = Relay(
            setup,
            made.router,
            self.front,
            made.links,
            made.state,
            made.restore,
            made.files,
            status,
            lambda: None,
        )
        self.relay.emit(ev.TargetOpened(PC))
        self.relay.emit(ev.KernelStarted(PC))
        self.request = self._message("shell", "execute_request", {"code": "1"})
        self.relay.request(self.request)
        assert made.router.running
        assert made.router.primary == PC

    def _message(
        self, channel: str, kind: str, content: dict[str, Any], parent: Any = None
    ) -> KernelFrames:
        message = SESSION.msg(kind, content, parent=parent)
        return split(channel, SESSION.serialize(message, ident=b"somebody"))[0]

    def status(self, target: str, state: str) -> None:
        parent = {"header": self.request.header}
        frames = self._message("iopub", "status", {"execution_state": state}, parent)
        self.relay.report(target, pack(frames))

    def comm_open(self, target: str, comm: str) -> None:
        content = {"comm_id": comm, "target_name": "jupyter.widget", "data": {}}
        frames = self._message("iopub", "comm_open", content, {"header": self.request.header})
        self.relay.report(target, pack(frames))

    def reply(self, target: str) -> None:
        running = self.relay.router.running
        assert running
        parent, content = {"header": self.request.header}, {"status": "ok", "execution_count": 1}
        frames = self._message("shell", "execute_reply", content, parent)
        about = {"cell": running.number, "epoch": running.epoch, "status": "ok"}
        self.relay.report(target, pack(frames, **about))


@pytest.fixture
async def book(places: Places) -> Book:
    return Book(places)


async def test_an_idle_that_comes_first_is_passed_on_behind_the_reply(book: Book) -> None:
    book.status(PC, "busy")
    book.status(PC, "idle")
    assert book.front.said == ["busy"]
    book.reply(PC)
    assert book.front.said == ["busy", "execute_reply", "idle"]


@pytest.mark.parametrize("first", ["idle", "reply"])
async def test_lost_between_reply_and_idle_it_gets_one_of_each_all_the_same(
    book: Book, first: str
) -> None:
    book.status(PC, "busy")
    if first == "idle":
        book.status(PC, "idle")
    else:
        book.reply(PC)
    book.relay.emit(ev.TargetLost(PC, "the power went"))
    running = book.relay.router.running
    assert running, "it runs again"
    book.status(LOCAL, "busy")
    book.reply(LOCAL)
    book.status(LOCAL, "idle")
    said = [each for each in book.front.said if each != "stream"]
    assert said == ["busy", "execute_reply", "idle"]


async def test_comms_of_a_kernel_that_is_lost_are_closed_once(book: Book) -> None:
    book.status(PC, "busy")
    book.comm_open(PC, "one")
    book.relay.emit(ev.TargetLost(PC, "the power went"))
    book.relay.emit(ev.TargetOpened(PC))
    assert [each for each in book.front.said if each.startswith("comm")] == [
        "comm_open",
        "comm_close",
    ]


async def test_widgets_of_a_cell_that_is_repeated_unseen_are_known_to_front_ends(
    book: Book,
) -> None:
    """A later cell shows them. The cell itself has ended, so they are no part of it."""
    book.status(PC, "busy")
    book.reply(PC)
    book.status(PC, "idle")
    book.relay.emit(ev.TargetLost(PC, "the power went"))
    again = book.relay.router.running
    assert again
    assert again.run is Run.SILENT
    book.front.said.clear()
    book.status(LOCAL, "busy")
    book.comm_open(LOCAL, "again")
    book.reply(LOCAL)
    book.status(LOCAL, "idle")
    assert book.front.said == ["comm_open"]
    assert book.front.sent[-1].parent == {}
