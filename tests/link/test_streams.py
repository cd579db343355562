"""What every carrier of bytes owes to the session."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.link.stream import SocketStream
from tests.link.memory import memory_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relay_kernel.link.stream import Stream

#: Seconds for anything that is expected to happen.
SOON = 10.0
MIB = 1 << 20

Pair = tuple["Stream", "Stream"]


async def socket_pair() -> tuple[SocketStream, SocketStream]:
    """The two ends of a real socket."""
    ends = [await asyncio.open_connection(sock=end) for end in socket.socketpair()]
    left, right = (SocketStream(reader, writer) for reader, writer in ends)
    return left, right


async def take(stream: Stream, count: int) -> bytes:
    """The next ``count`` bytes, or fewer at the end of the stream."""
    got = bytearray()
    async with asyncio.timeout(SOON):
        while len(got) < count and (data := await stream.read()):
            got += data
    return bytes(got)


async def ends(stream: Stream) -> bool:
    """Whether the stream ends; what comes before is thrown away."""
    async with asyncio.timeout(SOON):
        with contextlib.suppress(ConnectionError):
            while await stream.read():
                pass
    return True


class StreamSuite:
    """Each kind of stream inherits these."""

    async def pair(self) -> Pair:
        raise NotImplementedError

    @pytest.fixture
    async def streams(self) -> AsyncIterator[Pair]:
        left, right = await self.pair()
        yield left, right
        left.close()
        right.close()

    async def test_what_is_written_here_is_read_there(self, streams: Pair) -> None:
        left, right = streams
        left.write([b"one ", memoryview(b"two "), bytearray(b"three")])
        right.write([b"back"])
        assert await take(right, 13) == b"one two three"
        assert await take(left, 4) == b"back"

    async def test_order_is_kept(self, streams: Pair) -> None:
        left, right = streams
        chance = random.Random(1)
        writes = [[chance.randbytes(chance.randint(1, 4000)) for _ in range(3)] for _ in range(500)]
        sent = b"".join(part for parts in writes for part in parts)
        taking = asyncio.ensure_future(take(right, len(sent)))
        async with asyncio.timeout(SOON):
            for parts in writes:
                left.write(parts)
                if left.clogged:
                    await left.drain()
        assert await taking == sent

    async def test_a_big_write_arrives_whole(self, streams: Pair) -> None:
        left, right = streams
        data = random.Random(2).randbytes(8 * MIB)
        left.write([data[:MIB], b"", data[MIB:]])
        assert await take(right, len(data)) == data
        async with asyncio.timeout(SOON):
            await left.drain()
        assert not left.clogged

    async def test_read_waits_for_at_least_one_byte(self, streams: Pair) -> None:
        left, right = streams
        reading = asyncio.ensure_future(right.read())
        await asyncio.sleep(0)
        assert not reading.done()
        left.write([b"x"])
        assert await asyncio.wait_for(reading, SOON) == b"x"

    async def test_a_read_that_was_given_up_loses_nothing(self, streams: Pair) -> None:
        left, right = streams
        reading = asyncio.ensure_future(right.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        left.write([b"x"])
        assert await take(right, 1) == b"x"

    async def test_close_wakes_the_reader_at_the_other_end(self, streams: Pair) -> None:
        left, right = streams
        ending = asyncio.ensure_future(ends(right))
        await asyncio.sleep(0)
        left.close()
        assert await ending

    async def test_close_wakes_the_reader_at_this_end(self, streams: Pair) -> None:
        left, _ = streams
        ending = asyncio.ensure_future(ends(left))
        await asyncio.sleep(0)
        left.close()
        assert await ending

    async def test_what_arrived_before_the_end_can_still_be_read(self, streams: Pair) -> None:
        left, right = streams
        left.write([b"last words"])
        await left.drain()
        left.close()
        assert await take(right, 100) == b"last words"
        assert await ends(right)

    async def test_after_close_the_end_stays_the_end(self, streams: Pair) -> None:
        left, right = streams
        left.close()
        left.close()
        for stream in (left, right):
            assert await ends(stream)
            assert await ends(stream)

    @pytest.mark.parametrize("which", [0, 1], ids=["closer", "peer"])
    async def test_a_write_after_close_is_an_oserror_at_worst(
        self, streams: Pair, which: int
    ) -> None:
        streams[0].close()
        await ends(streams[1])
        for _ in range(3):
            with contextlib.suppress(OSError):
                streams[which].write([b"too late"])
            with contextlib.suppress(OSError):
                async with asyncio.timeout(SOON):
                    await streams[which].drain()


class TestMemoryStream(StreamSuite):
    async def pair(self) -> Pair:
        return memory_pair()

    async def test_it_is_never_clogged(self, streams: Pair) -> None:
        streams[0].write([bytes(64 * MIB)])
        assert not streams[0].clogged


class TestSocketStream(StreamSuite):
    async def pair(self) -> Pair:
        return await socket_pair()

    async def test_a_reader_that_does_not_read_clogs_the_writer(self, streams: Pair) -> None:
        left, right = streams
        written = 0
        while not left.clogged:
            left.write([bytes(64 << 10)])
            written += 64 << 10
        assert written < 8 * MIB
        draining = asyncio.ensure_future(left.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        assert len(await take(right, written)) == written
        await asyncio.wait_for(draining, SOON)
        assert not left.clogged

    async def test_close_ends_a_wait_for_room(self, streams: Pair) -> None:
        left, right = streams
        while not left.clogged:
            left.write([bytes(64 << 10)])
        draining: asyncio.Future[Any] = asyncio.ensure_future(left.drain())
        await asyncio.sleep(0)
        right.close()
        with contextlib.suppress(OSError):
            await asyncio.wait_for(draining, SOON)
        assert draining.done()
