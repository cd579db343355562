"""Messages between real ZeroMQ sockets: none is lost, none waits for the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import zmq

from relay_kernel.link.zmq_channel import ZmqChannel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from relay_kernel.wire.message import Part

SOON = 10.0
#: The same for ZeroMQ, in milliseconds.
PATIENCE = 10_000


class Box:
    """What came, and a wait for more."""

    def __init__(self) -> None:
        self.got: list[list[bytes]] = []
        self._came = asyncio.Event()

    def __call__(self, frames: list[bytes]) -> None:
        self.got.append(frames)
        self._came.set()

    async def holds(self, count: int) -> list[list[bytes]]:
        async with asyncio.timeout(SOON):
            while len(self.got) < count:
                self._came.clear()
                await self._came.wait()
        return self.got


class Rig:
    """Two connected sockets; channels are made of them by the tests."""

    def __init__(self, folder: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.address = f"ipc://{folder}/s"
        self.channels: list[ZmqChannel] = []
        self.left = self.socket()
        self.right = self.socket()
        self.left.bind(self.address)
        self.right.connect(self.address)
        # Both ends know each other before a test begins.
        for one, other in ((self.right, self.left), (self.left, self.right)):
            one.send(b"")
            assert other.poll(PATIENCE)
            other.recv()

    def socket(self) -> zmq.Socket[bytes]:
        made = self.context.socket(zmq.DEALER)
        made.linger = 0
        made.sndhwm = made.rcvhwm = 0
        return made

    def channel(
        self, socket: zmq.Socket[bytes], on_frames: Callable[[list[bytes]], None]
    ) -> ZmqChannel:
        self.channels.append(ZmqChannel(socket, on_frames))
        return self.channels[-1]

    def close(self) -> None:
        for channel in self.channels:
            channel.close()
        self.left.close()
        self.right.close()
        self.context.term()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def numbers(count: int) -> list[list[bytes]]:
    return [[b"id", str(n).encode()] for n in range(count)]


async def test_a_burst_arrives_whole_and_in_order(rig: Rig) -> None:
    box = Box()
    rig.channel(rig.right, box)
    sender = rig.channel(rig.left, Box())
    for frames in numbers(1000):
        sender.send(frames)
    assert await box.holds(1000) == numbers(1000)


async def test_bursts_in_both_directions_at_once(rig: Rig) -> None:
    boxes = Box(), Box()
    channels = rig.channel(rig.left, boxes[0]), rig.channel(rig.right, boxes[1])
    for frames in numbers(1000):
        for channel in channels:
            channel.send(frames)
    for box in boxes:
        assert await box.holds(1000) == numbers(1000)


async def test_what_came_before_the_channel_was_made_is_read(rig: Rig) -> None:
    for frames in numbers(10):
        rig.left.send_multipart(frames)
    assert rig.right.poll(PATIENCE)
    box = Box()
    rig.channel(rig.right, box)
    assert await box.holds(10) == numbers(10)


async def test_an_answer_from_within_the_callback_does_not_stop_the_reading(rig: Rig) -> None:
    """A send can swallow the signal that more has come."""
    echo: ZmqChannel
    echo = rig.channel(rig.right, lambda frames: echo.send(frames))
    box = Box()
    asker = rig.channel(rig.left, box)
    for count in range(1, 300):
        asker.send([str(count).encode()])
        asker.send([b"and"])
        await box.holds(2 * count)
    assert box.got[-2:] == [[b"299"], [b"and"]]


async def test_messages_that_cross_are_all_read(rig: Rig) -> None:
    """Each end sends whenever something comes, so signals for reading and writing mix."""
    box = Box()

    def pass_back(frames: list[bytes]) -> None:
        box(frames)
        left = int(frames[0])
        if left:
            near.send([str(left - 1).encode()])
            near.send([b"0"])

    near = rig.channel(rig.left, pass_back)
    far: ZmqChannel
    far = rig.channel(rig.right, lambda frames: far.send(frames))
    near.send([b"200"])
    assert len(await box.holds(401)) == 401


async def test_a_large_message_arrives_whole(rig: Rig) -> None:
    box = Box()
    rig.channel(rig.right, box)
    frames: list[Part] = [bytes(16 << 20), memoryview(b"view"), bytearray(b"array")]
    rig.channel(rig.left, Box()).send(frames)
    assert await box.holds(1) == [[bytes(frame) for frame in frames]]


async def test_a_burst_lets_others_on_the_loop_have_their_turn(rig: Rig) -> None:
    for frames in numbers(1000):
        rig.left.send_multipart(frames)
    while not rig.right.poll(PATIENCE):
        pass
    box = Box()
    rig.channel(rig.right, box)
    turns = 0
    while len(box.got) < 1000:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_closing_within_the_callback_ends_it_there(rig: Rig) -> None:
    got: list[bytes] = []
    closed = asyncio.Event()

    def close(frames: list[bytes]) -> None:
        got.extend(frames)
        channel.close()
        closed.set()

    channel = rig.channel(rig.right, close)
    for text in (b"one", b"two"):
        rig.left.send_multipart([text])
    await asyncio.wait_for(closed.wait(), SOON)
    # Whatever is due on the loop for the closed socket has its turn.
    await asyncio.sleep(0)
    assert got == [b"one"]
    channel.send([b"nothing"])
    channel.close()


async def test_a_callback_that_fails_costs_its_own_message_only(rig: Rig) -> None:
    box = Box()
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: errors.append(what))

    def fail_once(frames: list[bytes]) -> None:
        if frames == [b"bad"]:
            raise ValueError(frames)
        box(frames)

    for text in (b"bad", b"one", b"bad", b"two"):
        rig.left.send_multipart([text])
    assert rig.right.poll(PATIENCE)
    rig.channel(rig.right, fail_once)
    assert await box.holds(2) == [[b"one"], [b"two"]]
    assert len(errors) == 2


async def test_a_message_to_a_peer_that_is_gone_is_dropped(rig: Rig) -> None:
    dealer = rig.context.socket(zmq.ROUTER)
    dealer.linger = dealer.sndhwm = 0
    dealer.bind(rig.address + "2")
    channel = rig.channel(dealer, Box())
    channel.send([b"nobody", b"hello"])


async def test_what_is_queued_may_leave_within_the_time_to_linger(rig: Rig) -> None:
    box = Box()
    rig.channel(rig.right, box)
    sender = rig.channel(rig.left, Box())
    for frames in numbers(1000):
        sender.send(frames)
    sender.close(linger=5000)
    assert await box.holds(1000) == numbers(1000)
