"""When a kernel is captured whose state something else than a cell has changed."""

from __future__ import annotations

import asyncio
import json

import pytest

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.core.router import Router
from relay_kernel.kernel import stirred
from relay_kernel.kernel.stirred import Stirred
from relay_kernel.wire.kernel_frames import KernelFrames

SOON = 20.0


class Notebook:
    """A notebook on the server, and the captures that were ordered."""

    def __init__(self) -> None:
        self.router = Router(["pc", LOCAL])
        self.emit(ev.TargetOpened(LOCAL))
        self.emit(ev.KernelStarted(LOCAL))
        self.orders: list[tuple[str, int, int, int]] = []
        self.ordered = asyncio.Event()
        self.stirred = Stirred(self.router, self._capture, self.emit)

    def emit(self, event: ev.Event) -> None:
        self.router.handle(event, 0.0)

    def _capture(self, *order: int) -> None:
        self.orders.append(order)  # type: ignore[arg-type]
        self.ordered.set()

    def idle(self, kind: str = "comm_msg", target: str = LOCAL) -> None:
        """A kernel is done with a request."""
        parent = json.dumps({"msg_type": kind}).encode()
        self.stirred.look(target, KernelFrames("iopub", [], [b"{}", parent, b"{}", b"{}"]))

    async def order(self) -> tuple[str, int, int, int]:
        async with asyncio.timeout(SOON):
            await self.ordered.wait()
        self.ordered.clear()
        return self.orders[-1]


async def test_one_capture_for_all_that_come_together() -> None:
    notebook = Notebook()
    for _ in range(5):
        notebook.idle()
    assert notebook.router.stirred == 5
    assert await notebook.order() == (LOCAL, 1, 0, 5)
    assert len(notebook.orders) == 1


async def test_what_never_pauses_is_captured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard that polls over a subshell would hold it off for ever."""
    monkeypatch.setattr(stirred, "CALM", SOON * 9)
    monkeypatch.setattr(stirred, "LONGEST", 0.02)
    notebook = Notebook()
    notebook.idle("execute_request")
    notebook.idle("execute_request")
    assert (await notebook.order())[3] == 2
    notebook.idle("execute_request")
    assert (await notebook.order())[3] == 3


@pytest.mark.parametrize(("kind", "target"), [("complete_request", LOCAL), ("comm_msg", "pc")])
async def test_what_changes_nothing_here_is_not_captured(kind: str, target: str) -> None:
    notebook = Notebook()
    notebook.idle(kind, target)
    assert notebook.router.stirred == 0


async def test_a_running_cell_is_followed_by_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stirred, "CALM", 0.0)
    notebook = Notebook()
    notebook.emit(ev.CellSubmitted(1))
    assert notebook.router.running
    notebook.idle()
    loop = asyncio.get_running_loop()
    passed = asyncio.Event()
    loop.call_later(0.01, passed.set)
    await passed.wait()
    assert notebook.orders == []
