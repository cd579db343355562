"""A session over one link after another, on a real loop and real streams."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.link import clock
from relay_kernel.link import pump as pump_module
from relay_kernel.link.pump import Pump
from relay_kernel.wire import frames
from relay_kernel.wire.frames import Type
from relay_kernel.wire.message import Message, encode
from relay_kernel.wire.pulse import MISSED
from relay_kernel.wire.session import (
    BULK_AHEAD,
    PROTOCOL,
    Answered,
    Forgot,
    Opened,
    Parted,
    Received,
    Refused,
    Session,
    SessionEvent,
    Silent,
)
from tests.link.memory import memory_pair
from tests.link.test_streams import SOON, socket_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from relay_kernel.link.stream import Stream

MIB = 1 << 20
HELLO: dict[str, object] = {"protocol": PROTOCOL, "received": 0}


class End:
    """A pump and what it heard."""

    def __init__(self, heartbeat: float | None = None) -> None:
        self.events: list[SessionEvent] = []
        self.runs: list[asyncio.Future[str]] = []
        self.pump = Pump(Session({"session": "s"}, heartbeat), self._on_event)
        self._changed = asyncio.Event()

    def _on_event(self, event: SessionEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def run(self, stream: Stream, **kwargs: Any) -> asyncio.Future[str]:
        self.runs.append(asyncio.ensure_future(self.pump.run(stream, **kwargs)))
        return self.runs[-1]

    @property
    def kinds(self) -> list[str]:
        """The kinds of the messages that came."""
        return [event.message.kind for event in self.events if isinstance(event, Received)]

    async def sees(self, event: type[SessionEvent], times: int = 1) -> None:
        await self._until(lambda: sum(isinstance(e, event) for e in self.events) >= times)

    async def hears(self, *kinds: str) -> None:
        """These messages came, and no others."""
        await self._until(lambda: len(self.kinds) >= len(kinds))
        assert self.kinds == list(kinds)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class Ends:
    """Two pumps and the links between them."""

    def __init__(self, pair: Callable[[], Awaitable[tuple[Stream, Stream]]]) -> None:
        self.pair = pair
        self.left, self.right = End(), End()
        self.opened = 0
        self.streams: tuple[Stream, Stream]

    async def link(self) -> None:
        """A new link, on which both have greeted."""
        self.streams = await self.pair()
        self.left.run(self.streams[0])
        self.right.run(self.streams[1])
        self.opened += 1
        for end in (self.left, self.right):
            await end.sees(Opened, self.opened)

    async def close(self) -> None:
        for end in (self.left, self.right):
            end.pump.close_link()
            async with asyncio.timeout(SOON):
                await asyncio.gather(*end.runs)


async def memory() -> tuple[Stream, Stream]:
    return memory_pair()


@pytest.fixture(params=[memory, socket_pair], ids=["memory", "socket"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    ends = Ends(request.param)
    yield ends
    await ends.close()


def texts(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


class TestMessages:
    async def test_they_arrive_in_both_directions(self, ends: Ends) -> None:
        await ends.link()
        assert ends.left.pump.linked
        for text in texts("m", 100):
            ends.left.pump.send(Message(text))
            ends.right.pump.send(Message(text))
        await ends.right.hears(*texts("m", 100))
        await ends.left.hears(*texts("m", 100))

    async def test_sent_before_there_is_a_link_they_wait_for_it(self, ends: Ends) -> None:
        ends.left.pump.send(Message("early"))
        ends.left.pump.send(Message("early and big", {}, (bytes(MIB),)), bulk=True)
        assert not ends.left.pump.linked
        await ends.link()
        await ends.right.hears("early", "early and big")

    async def test_an_answer_sent_from_within_the_event_goes_out(self, ends: Ends) -> None:
        def answer(event: SessionEvent) -> None:
            if isinstance(event, Received):
                ends.right.pump.send(Message("answer"))

        ends.right.pump._on_event = answer
        streams = await ends.pair()
        ends.left.run(streams[0])
        ends.right.run(streams[1])
        ends.left.pump.send(Message("question"))
        await ends.left.hears("answer")

    async def test_they_are_forgotten_once_they_arrived(self, ends: Ends) -> None:
        await ends.link()
        for text in texts("m", 5):
            ends.left.pump.send(Message(text))
        await ends.right.hears(*texts("m", 5))
        # The acknowledgement is sent on its own after a moment.
        async with asyncio.timeout(SOON):
            while ends.left.pump.session.backlog:
                await asyncio.sleep(0.01)

    async def test_a_goodbye_arrives(self, ends: Ends) -> None:
        await ends.link()
        ends.left.pump.part("shutdown")
        await ends.right.sees(Parted)
        assert ends.right.events[-1] == Parted({"reason": "shutdown"})


class TestLinks:
    async def test_a_cut_and_a_new_link_lose_nothing(self, ends: Ends) -> None:
        sent = []
        for round_ in range(10):
            await ends.link()
            for text in texts(f"{round_}.", 30):
                sent.append(text)
                ends.left.pump.send(Message(text, {}, (bytes(5000),)))
                if text.endswith("17"):
                    # In the middle of it; one end notices, then the other.
                    await asyncio.sleep(0)
                    ends.streams[round_ % 2].close()
        await ends.link()
        await ends.right.hears(*sent)

    async def test_a_cut_in_the_middle_of_bulk_loses_nothing(self, ends: Ends) -> None:
        for text in texts("bulk", 5):
            ends.left.pump.send(Message(text, {}, (bytes(MIB),)), bulk=True)
        for times in range(1, 4):
            await ends.link()
            await ends.right.sees(Received, times)
            ends.streams[0].close()
            await ends.left.runs[-1]
        await ends.link()
        await ends.right.hears(*texts("bulk", 5))

    async def test_the_newest_link_wins(self, ends: Ends) -> None:
        await ends.link()
        first = ends.left.runs[0]
        await ends.link()
        assert await asyncio.wait_for(first, SOON)
        assert ends.left.pump.linked
        ends.left.pump.send(Message("over the second"))
        await ends.right.hears("over the second")

    async def test_why_a_link_ended_is_said_in_one_line(self, ends: Ends) -> None:
        await ends.link()
        ends.streams[1].close()
        for end in (ends.left, ends.right):
            reason = await asyncio.wait_for(end.runs[0], SOON)
            assert reason
            assert "\n" not in reason
            assert not end.pump.linked

    async def test_garbage_ends_the_link_and_not_the_session(self, ends: Ends) -> None:
        mine, theirs = await ends.pair()
        run = ends.left.run(mine)
        theirs.write([b"\xff" * 9])
        assert "bytes, over" in await asyncio.wait_for(run, SOON)
        ends.left.pump.send(Message("still here"))
        await ends.link()
        await ends.right.hears("still here")
        theirs.close()

    async def test_a_greeting_that_the_caller_has_read_counts(self, ends: Ends) -> None:
        mine, theirs = await ends.pair()
        run = ends.left.run(mine, hello={**HELLO, "received": 0, "host": "there"})
        await ends.left.sees(Opened)
        assert ends.left.pump.linked
        theirs.close()
        await run

    async def test_a_refusal_ends_the_link_with_its_reason(self, ends: Ends) -> None:
        mine, theirs = await ends.pair()
        run = ends.left.run(mine)
        theirs.write([frames.note(Type.REFUSE, {"why": "unknown session"})])
        assert await asyncio.wait_for(run, SOON) == "unknown session"
        await ends.left.sees(Refused)
        theirs.close()

    async def test_close_link_ends_the_run(self, ends: Ends) -> None:
        await ends.link()
        ends.left.pump.close_link()
        for end in (ends.left, ends.right):
            assert await asyncio.wait_for(end.runs[0], SOON)


class TestBulk:
    async def test_the_source_is_emptied_over_the_link(self, ends: Ends) -> None:
        left = iter(texts("chunk", 20))
        ends.left.pump.bulk_source = lambda: next(
            (Message(text, {}, (bytes(MIB),)) for text in left), None
        )
        await ends.link()
        await ends.right.hears(*texts("chunk", 20))

    async def test_the_source_is_asked_only_when_there_is_room(self, ends: Ends) -> None:
        asked = 0

        def source() -> Message:
            nonlocal asked
            asked += 1
            return Message("chunk", {}, (bytes(MIB),))

        ends.left.pump.bulk_source = source
        ends.left.pump.send(Message("without a link"))
        assert asked == 0
        # A peer that greets and then reads nothing.
        mine, theirs = await ends.pair()
        ends.left.run(mine, hello=HELLO)
        await ends.left.sees(Opened)
        for _ in range(100):
            ends.left.pump.flush()
            await asyncio.sleep(0)
        assert asked <= BULK_AHEAD // MIB + 1
        theirs.close()

    async def test_a_small_message_does_not_wait_for_what_the_source_has(self, ends: Ends) -> None:
        ends.left.pump.bulk_source = lambda: Message("chunk", {}, (bytes(MIB),))
        await ends.link()
        await ends.right.sees(Received, 3)
        before = len(ends.right.kinds)
        ends.left.pump.send(Message("stop"))
        async with asyncio.timeout(SOON):
            while "stop" not in ends.right.kinds:
                await ends.right.sees(Received, len(ends.right.kinds) + 1)
        assert ends.right.kinds.index("stop") - before <= 2
        ends.left.pump.bulk_source = None


async def test_a_peer_that_does_not_read_does_not_fill_the_memory() -> None:
    """Chunks wait on the disk, not here, however long the peer is busy."""
    end = End()
    end.pump.bulk_source = lambda: Message("chunk", {}, (bytes(MIB),))
    mine, theirs = await socket_pair()
    run = end.run(mine, hello=HELLO)
    await end.sees(Opened)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(1000):
            end.pump.flush()
            await asyncio.sleep(0)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 2 * BULK_AHEAD
    theirs.close()
    await asyncio.wait_for(run, SOON)


async def test_messages_to_a_peer_that_does_not_read_wait_in_the_session() -> None:
    """They are written when there is room again, each once, in their order."""
    end = End()
    mine, theirs = await socket_pair()
    run = end.run(mine, hello=HELLO)
    await end.sees(Opened)
    for text in texts("m", 40):
        end.pump.send(Message(text, {}, (bytes(MIB),)))
    # Not even the socket is filled: what stands in it stands before an answer to a ping.
    assert mine._writer.transport.get_write_buffer_size() < MIB
    decoder = frames.Decoder()
    numbers: list[int] = []
    ends_at: list[int] = []
    async with asyncio.timeout(SOON):
        while len(ends_at) < 40:
            for frame in decoder.feed(await theirs.read()):
                if isinstance(frame, frames.Data):
                    numbers.append(frame.number)
                    ends_at += [frame.number] if frame.last else []
            theirs.write([frames.ack(len(numbers))])
    assert numbers == list(range(1, numbers[-1] + 1))
    theirs.close()
    await asyncio.wait_for(run, SOON)


async def test_a_clogged_link_that_is_dead_is_noticed() -> None:
    """Its writer waits for room that never comes; the clock goes on."""
    end = End(0.05)
    mine, theirs = await socket_pair()
    run = end.run(mine, hello=HELLO)
    await end.sees(Opened)
    mine.write([bytes(8 * MIB)])
    end.pump.send(Message("one more"))
    assert mine.clogged
    assert "nothing was heard" in await asyncio.wait_for(run, SOON)
    theirs.close()


async def test_a_probe_finds_a_dead_link_sooner_than_the_heartbeat() -> None:
    end = End(60.0)
    mine, theirs = memory_pair()
    run = end.run(mine, hello=HELLO)
    await end.sees(Opened)
    end.pump.probe(0.05)
    assert "nothing was heard" in await asyncio.wait_for(run, SOON)
    assert isinstance(end.events[-1], Silent)
    theirs.close()


async def test_a_probe_of_a_living_peer_costs_nothing(ends: Ends) -> None:
    await ends.link()
    ends.left.pump.probe(SOON)
    await ends.left.sees(Answered)
    ends.left.pump.send(Message("still here"))
    await ends.right.hears("still here")


async def test_what_came_while_this_process_stood_still_is_read_first() -> None:
    """It was stopped, or its machine slept: the bytes are there, and only nobody has read them."""
    heartbeat = 0.05
    end = End(heartbeat)
    mine, theirs = await socket_pair()
    run = end.run(mine, hello=HELLO)
    await end.sees(Opened)
    theirs.write([frames.ack(0)])
    stopped = clock.now()
    time.sleep(pump_module.LATE + MISSED * heartbeat + 0.1)
    async with asyncio.timeout(SOON):
        while end.pump.session.heard_at < stopped and not run.done():
            await asyncio.sleep(0)
    assert not run.done()
    # And no more than that: a peer that says nothing now is silent.
    await asyncio.wait_for(run, SOON)
    assert isinstance(end.events[-1], Silent)
    theirs.close()


async def test_a_peer_that_forgot_ends_the_link_with_that_reason(ends: Ends) -> None:
    await ends.link()
    ends.left.pump.send(Message("m"))
    await ends.right.hears("m")
    async with asyncio.timeout(SOON):
        while ends.left.pump.session.backlog:
            await asyncio.sleep(0.01)
    ends.right.pump.close_link()
    await asyncio.wait_for(asyncio.gather(*ends.left.runs, *ends.right.runs), SOON)
    mine, theirs = await ends.pair()
    run = ends.left.run(mine)
    ends.right.pump = Pump(Session({"session": "s"}), ends.right._on_event)
    ends.right.run(theirs)
    assert "lost its memory" in await asyncio.wait_for(run, SOON)
    assert isinstance(ends.left.events[-1], Forgot)


async def test_messages_before_an_error_are_delivered(ends: Ends) -> None:
    mine, theirs = await ends.pair()
    run = ends.left.run(mine, hello=HELLO)
    parts = frames.data(1, 0, encode(Message("last words")))
    theirs.write([*parts, b"\xff" * 9])
    assert "bytes, over" in await asyncio.wait_for(run, SOON)
    await ends.left.hears("last words")
    theirs.close()


async def test_nothing_is_acknowledged_before_it_was_handed_on() -> None:
    """Were this process to die in between, the peer would think that it had it."""
    end = End()
    mine, theirs = memory_pair()
    wrote: list[int] = []

    def on_event(event: SessionEvent) -> None:
        if isinstance(event, Received):
            end.pump.send(Message("answer"))
            wrote.append(len(theirs._waiting))

    end.pump._on_event = on_event
    run = end.run(mine, hello=HELLO)
    await asyncio.sleep(0)
    await theirs.read()
    each = [frames.data(number, 0, encode(Message("m"))) for number in range(1, 41)]
    theirs.write([part for parts in each for part in parts])
    got = frames.Decoder().feed(await asyncio.wait_for(theirs.read(), SOON))
    assert wrote == [0] * 40
    assert {frame.received for frame in got if isinstance(frame, frames.Data)} == {40}
    theirs.close()
    await run


async def test_a_silent_peer_is_noticed_and_the_link_closed() -> None:
    heartbeat = 0.05
    end = End(heartbeat)
    mine, theirs = memory_pair()
    began = asyncio.get_running_loop().time()
    run = end.run(mine, hello=HELLO)
    await asyncio.wait_for(run, SOON)
    assert asyncio.get_running_loop().time() - began >= MISSED * heartbeat
    assert isinstance(end.events[-1], Silent)
    assert not end.pump.linked
    theirs.close()


async def test_two_that_have_nothing_to_say_are_not_taken_for_silent() -> None:
    heartbeat = 0.02
    left, right = End(heartbeat), End(heartbeat)
    mine, theirs = memory_pair()
    runs = left.run(mine), right.run(theirs)
    done, _ = await asyncio.wait(runs, timeout=20 * heartbeat)
    assert not done
    assert left.pump.session.rtt is not None
    left.pump.close_link()
    await asyncio.gather(*runs)
