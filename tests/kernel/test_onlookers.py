"""Who is told what over the ``relay`` comm, and how often."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.core.overview import COMM
from relay_kernel.kernel.onlookers import MOST, PACE, SOON
from tests.kernel.rig import PC
from tests.kernel.test_relay import Book

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

BOUND = 30.0


class Looked(Book):
    """A notebook that a page looks at."""

    def say(self, msg_type: str = "comm_msg", comm: str = COMM, **content: Any) -> None:
        """A page says something."""
        self.relay.request(self._message("shell", msg_type, {"comm_id": comm, **content}))

    def run(self, code: str) -> None:
        """A page sends a cell."""
        self.relay.request(self._message("shell", "execute_request", {"code": code}))

    def told(self, comm: str = COMM) -> list[dict[str, Any]]:
        """The overviews that were sent over a comm."""
        found = [content for kind, content in self.front.published if kind == "comm_msg"]
        return [content["data"] for content in found if content["comm_id"] == comm]

    async def until_told(self, count: int) -> dict[str, Any]:
        """Wait until so many overviews were sent; the last."""
        async with asyncio.timeout(BOUND):
            while len(self.told()) < count:
                await asyncio.sleep(0.005)
        return self.told()[-1]


@pytest.fixture
async def book(places: Places) -> Looked:
    return Looked(places)


async def test_nobody_is_told_before_somebody_asks(book: Looked) -> None:
    book.relay.emit(ev.TargetForced(LOCAL))
    await asyncio.sleep(2 * SOON)
    assert book.told() == []
    book.say()
    assert book.told()[0]["mode"] == LOCAL


async def test_many_changes_are_told_once_each_pace(book: Looked) -> None:
    loop = asyncio.get_running_loop()
    book.say()
    began = loop.time()
    for number in range(400):
        book.relay.emit(ev.TargetForced(PC if number % 2 else LOCAL))
        await asyncio.sleep(0.001)
    book.relay.emit(ev.TargetForced(None))
    async with asyncio.timeout(BOUND):
        while book.told()[-1]["mode"] != "auto":
            await asyncio.sleep(0.005)
    took = loop.time() - began
    assert len(book.told()) <= 2 + took / PACE


async def test_what_did_not_change_is_not_told_again(book: Looked) -> None:
    book.say()
    book.relay.emit(ev.TargetForced(LOCAL))
    await book.until_told(2)
    book.relay.emit(ev.TargetForced(LOCAL))
    await asyncio.sleep(2 * PACE)
    assert len(book.told()) == 2


async def test_a_loss_is_told_with_its_reason_and_the_return_too(book: Looked) -> None:
    book.say()
    book.relay.emit(ev.TargetLost(PC, "its machine was restarted"))
    lost = await book.until_told(2)
    assert lost["primary"] == LOCAL
    assert lost["moved"]["is_news"]
    assert lost["moved"]["reason"] == "its machine was restarted"
    assert len(lost["moved"]["text"]) <= 140
    for event in (
        ev.TargetOpened(PC),
        ev.KernelStarted(LOCAL),
        ev.CellFinished(LOCAL, book.relay.router.epoch, 1, ok=True),
        ev.SnapshotArrived(book.relay.router.epoch, 1),
        ev.KernelStarted(PC),
        ev.SnapshotApplied(PC, 1),
    ):
        book.relay.emit(event)
    book.run("2")
    back = await book.until_told(3)
    assert back["primary"] == PC
    assert back["moved"]["is_news"]
    assert "pc is back" in back["moved"]["text"]


async def test_pages_that_never_close_are_forgotten_in_the_end(book: Looked) -> None:
    for number in range(MOST + 3):
        book.say("comm_open", f"page-{number}", target_name=COMM, data={})
    closed = [content for kind, content in book.front.published if kind == "comm_close"]
    assert [content["comm_id"] for content in closed] == ["page-0", "page-1", "page-2"]


async def test_a_comm_of_the_users_is_none_of_ours(book: Looked) -> None:
    book.say("comm_open", "widget", target_name="jupyter.widget", data={})
    book.say("comm_msg", "widget", data={"do": "use", "target": LOCAL})
    assert book.relay.router.forced is None
    assert book.told("widget") == []
