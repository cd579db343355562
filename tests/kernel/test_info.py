"""The first kernel_info_reply: who has it misses no output that follows."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
import zmq
import zmq.asyncio
from jupyter_client.session import Session

from relay_kernel.kernel.frontend import FrontEnd
from relay_kernel.kernel.info import InfoDesk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from relay_kernel.wire.kernel_frames import KernelFrames

#: Seconds for anything that is expected to happen.
SOON = 30.0


class Desk:
    """R's sockets with a desk behind them, and a client with one socket for each."""

    def __init__(self, folder: Path) -> None:
        self._here, there = zmq.Context(), zmq.asyncio.Context()
        self._there = there
        self.path = f"ipc://{folder}"
        kinds = {"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "iopub": zmq.XPUB}
        sockets = {name: self._here.socket(kind) for name, kind in kinds.items()}
        for name, socket in sockets.items():
            socket.bind(f"{self.path}/{name}")
        self.session = Session(key=b"secret")
        self.came = asyncio.Event()
        self.front = FrontEnd(Session(key=b"secret"), sockets, self._take, {})
        self.desk = InfoDesk(self.front, lambda: None, lambda: None)
        self.shell = there.socket(zmq.DEALER)
        self.shell.connect(f"{self.path}/shell")
        self.iopub = there.socket(zmq.SUB)

    def _take(self, request: KernelFrames) -> None:
        self.desk.take(request)
        self.came.set()

    async def ask(self) -> None:
        """Ask; once this returns, R has the question."""
        message = self.session.msg("kernel_info_request", {})
        await self.shell.send_multipart(self.session.serialize(message))
        async with asyncio.timeout(SOON):
            await self.came.wait()

    async def next(self, socket: zmq.asyncio.Socket) -> str:
        async with asyncio.timeout(SOON):
            frames = await socket.recv_multipart()
        _, parts = self.session.feed_identities(frames)
        return str(self.session.deserialize(parts)["msg_type"])

    def close(self) -> None:
        self.front.close()
        self._here.destroy(linger=0)
        self._there.destroy(linger=0)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    with contextlib.closing(Desk(tmp_path)) as made:
        yield made


@pytest.mark.parametrize("up_first", [True, False])
async def test_the_first_answer_waits_for_a_subscriber(desk: Desk, up_first: bool) -> None:
    if up_first:
        desk.desk.learn({"banner": "here"})
    await desk.ask()
    desk.desk.learn({"banner": "here"})
    assert not await desk.shell.poll(50)
    desk.iopub.subscribe(b"")
    desk.iopub.connect(f"{desk.path}/iopub")
    assert await desk.next(desk.shell) == "kernel_info_reply"
    assert [await desk.next(desk.iopub) for _ in range(3)] == ["iopub_welcome", "status", "status"]


async def test_who_never_listens_is_answered_all_the_same(desk: Desk) -> None:
    desk.desk.learn({"banner": "here"})
    await desk.ask()
    assert await desk.next(desk.shell) == "kernel_info_reply"
