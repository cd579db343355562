"""The way between R and the agent in its own process."""

from __future__ import annotations

import asyncio
from collections import deque

from relay_kernel.link.handover import Handover, handover
from relay_kernel.wire.message import Message


class Ends:
    """Two ends, and what arrived at each."""

    def __init__(self) -> None:
        self.near: list[str] = []
        self.far: list[str] = []
        self.one: Handover
        self.one, self.other = handover(
            lambda message: self.near.append(message.kind), self.take_far
        )

    def take_far(self, message: Message) -> None:
        self.far.append(message.kind)
        if message.kind == "bad":
            raise ValueError("no")
        if message.kind == "ask":
            self.other.send(Message("answer"))
            # Who asked is not called before it is done with what it is at.
            assert "answer" not in self.near


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_messages_arrive_in_order_and_nobody_is_called_in_the_middle() -> None:
    ends = Ends()
    for kind in ("a", "ask", "b"):
        ends.one.send(Message(kind))
    assert ends.far == []
    await turns()
    assert (ends.far, ends.near) == (["a", "ask", "b"], ["answer"])


async def test_one_that_cannot_be_handled_costs_only_itself() -> None:
    ends = Ends()
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(str(context["exception"])))
    for kind in ("a", "bad", "b"):
        ends.one.send(Message(kind))
    await turns()
    assert (ends.far, complaints) == (["a", "bad", "b"], ["no"])


async def test_bulk_comes_one_by_one_behind_everything_else() -> None:
    ends = Ends()
    waiting = deque(Message(f"chunk {number}") for number in range(3))

    def more() -> Message | None:
        # Something that is no bulk comes up in the meantime.
        if len(waiting) == 2:
            ends.one.send(Message("urgent"))
        return waiting.popleft() if waiting else None

    ends.one.bulk_source = more
    ends.one.flush()
    ends.one.send(Message("first"))
    await turns()
    assert ends.far == ["first", "chunk 0", "urgent", "chunk 1", "chunk 2"]
    ends.one.flush()
    await turns()
    assert len(ends.far) == 5
