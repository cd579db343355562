"""The socket at which what sshd started lends its own stream, and steps aside."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from relay_kernel.link.door import Door
from relay_kernel.link.pipes import PipeStream
from relay_kernel.link.stream import SocketStream, Stream
from tests.processes import ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOON = 20.0
LENDS = """
import socket, sys
from relay_kernel.link.door import lend_stdio
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
sys.exit(0 if lend_stdio(connection) else 3)
"""


class House:
    """A door, and who came."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "door"
        self.came: asyncio.Queue[Stream] = asyncio.Queue()
        self.door = Door(self.path, self.came.put)
        self.door.open()

    async def guest(self) -> Stream:
        return await asyncio.wait_for(self.came.get(), SOON)

    def lender(self, **ends: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", LENDS, self.path], **ends)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    house.door.close()
    while not house.came.empty():
        house.came.get_nowait().close()
    await asyncio.sleep(0)


async def test_a_guest_speaks_on_its_own_connection(house: House) -> None:
    reader, writer = await asyncio.open_unix_connection(house.path)
    writer.write(b"hello")
    stream = await house.guest()
    assert isinstance(stream, SocketStream)
    assert await stream.read() == b"hello"
    stream.write([b"wel", b"come"])
    assert await reader.readexactly(7) == b"welcome"
    stream.write([b"goodbye"])
    stream.close()
    assert await asyncio.wait_for(reader.read(), SOON) == b"goodbye"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("kind", ["pipes", "a socket"])
async def test_a_guest_lends_its_stream_and_ends_with_it(house: House, kind: str) -> None:
    ours, theirs = socket.socketpair()
    down, up = os.pipe(), os.pipe()
    ends = (theirs.fileno(), theirs.fileno()) if kind == "a socket" else (down[0], up[1])
    process = house.lender(stdin=ends[0], stdout=ends[1])
    to, from_ = (ours.fileno(), ours.fileno()) if kind == "a socket" else (down[1], up[0])
    theirs.close()
    os.close(down[0])
    os.close(up[1])

    os.write(to, b"hello")
    stream = await house.guest()
    assert isinstance(stream, PipeStream)
    assert await asyncio.wait_for(stream.read(), SOON) == b"hello"
    # More than any pipe holds, in pieces of all sizes.
    parts = [bytes([number % 251]) * (number * 97) for number in range(300)]
    reading = asyncio.create_task(asyncio.to_thread(_read_all, from_))
    stream.write(parts)
    assert stream.clogged
    await asyncio.wait_for(stream.drain(), SOON)
    assert not stream.clogged
    assert process.poll() is None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.read(), 0.05)
    while stream._waiting:
        await asyncio.sleep(0.001)
    stream.close()
    assert await asyncio.wait_for(reading, SOON) == b"".join(parts)
    assert await asyncio.to_thread(process.wait, SOON) == 0
    ours.close()
    os.close(down[1])
    os.close(up[0])


def _read_all(number: int) -> bytes:
    got = b""
    while data := os.read(number, 1 << 20):
        got += data
    return got


async def test_the_end_of_what_was_lent_is_seen(house: House) -> None:
    process = house.lender(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    stream = await house.guest()
    process.stdin.close()
    assert await asyncio.wait_for(stream.read(), SOON) == b""
    process.stdout.close()
    with pytest.raises(OSError, match="Broken pipe"):
        stream.write([b"to nobody"])
    stream.close()
    assert await asyncio.to_thread(process.wait, SOON) == 0


async def test_a_lender_whose_door_dies_does_not_outlive_it(house: House) -> None:
    process = house.lender(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stream = await house.guest()
    assert isinstance(stream, PipeStream)
    # As when the process with the door is killed: the system closes what it had.
    stream._lender.close()
    await ended(psutil.Process(process.pid))
    stream.close()
    process.communicate()


async def test_files_are_not_lent(house: House, tmp_path: Path) -> None:
    with (tmp_path / "in").open("wb+") as file:
        process = house.lender(stdin=file.fileno(), stdout=file.fileno())
        assert await asyncio.to_thread(process.wait, SOON) == 3


async def test_one_that_leaves_without_a_word_harms_nobody(house: House) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(str(house.path))
    silent.close()
    _, writer = await asyncio.open_unix_connection(house.path)
    writer.write(b"x")
    streams = [await house.guest() for _ in range(2)]
    assert sorted([await stream.read() for stream in streams]) == [b"", b"x"]
    for stream in streams:
        stream.close()
    writer.close()
    await writer.wait_closed()
