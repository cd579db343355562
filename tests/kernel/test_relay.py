"""What front ends see of a cell whose target is lost at an awkward moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.session import Session

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
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

    def send(self, message: KernelFrames) -> None:
        self._hear(message.type, message.content)

    def _make(self, channel: str, msg_type: str, content: dict[str, Any], *_: Any) -> None:
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
