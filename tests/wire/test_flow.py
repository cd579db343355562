"""What waits for what: bulk for small messages, and everything for the window."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.wire import frames, outbox
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Data, Note, Type
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import (
    BULK_AHEAD,
    Received,
    Session,
)
from relay_kernel.wire.window import PIECE, START
from tests.wire.peer import HELLO, KIB, flat, message, opened
from tests.wire.world import joined, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.wire.message import Part

#: No compression makes it smaller.
NOISE = random.Random(1).randbytes(1 << 20)


class TestBulk:
    @staticmethod
    def bulk_bytes(parts: Sequence[Part]) -> int:
        got = frames.Decoder().feed(flat(parts))
        return sum(f.body.nbytes for f in got if isinstance(f, Data) and not f.whole)

    def test_no_more_than_the_credit_is_under_way(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(1 << 20),)), bulk=True)
        assert self.bulk_bytes(session.data_to_send()) == START
        # Each acknowledged fragment makes room for one more.
        session.receive(frames.ack(2), 0.0)
        assert self.bulk_bytes(session.data_to_send()) == 2 * PIECE
        assert session.data_to_send() == []

    def test_nor_after_a_cut(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(1 << 20),)), bulk=True)
        session.data_to_send()
        session.begin(1.0)
        session.data_to_send()
        session.greeted({**HELLO, "received": 1})
        assert self.bulk_bytes(session.data_to_send()) == START

    @pytest.mark.parametrize("size", [10, 20 * KIB, 40 * KIB, 200 * KIB])
    def test_chunks_of_any_size_stay_within_the_window(self, size: int) -> None:
        session = opened()
        for _ in range(20):
            session.send(Message("chunk", {}, (bytes(size),)), bulk=True)
        assert min(20 * size, START - PIECE) <= self.bulk_bytes(session.data_to_send()) <= START

    def test_a_small_message_overtakes_what_waits(self) -> None:
        world = joined()
        for _ in range(3):
            world.left.send(1 << 20, bulk=True)
        world.left.send(10)
        world.settle()
        assert world.right.order == ["urgent 0", "bulk 0", "bulk 1", "bulk 2"]

    def test_a_small_message_waits_for_no_more_than_the_window(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(8 << 20),)), bulk=True)
        got = frames.Decoder().feed(flat(session.data_to_send()))
        assert len(got) == START // PIECE
        session.send(Message("stop"))
        (stop,) = frames.Decoder().feed(flat(session.data_to_send()))
        assert isinstance(stop, Data)
        assert stop.whole

    def test_a_small_message_overtakes_what_is_not_written_yet(self) -> None:
        session = opened()
        session.send(Message("chunk", {}, (bytes(8 << 20),)), bulk=True)
        session.send(Message("stop"))
        stop, *others = frames.Decoder().feed(flat(session.data_to_send()))
        assert isinstance(stop, Data)
        assert stop.whole
        assert len(others) == START // PIECE

    def test_both_directions_at_once_do_not_stand_still(self) -> None:
        world = joined()
        for end, _ in world.ends:
            for _ in range(5):
                end.send(300 * KIB, bulk=True)
        world.settle()
        world.pass_time(1)
        world.settle()
        world.check()

    def test_more_is_wanted_until_enough_waits(self) -> None:
        session = opened()
        sent = 0
        while session.wants_bulk:
            session.send(Message("chunk", {}, (bytes(1 << 20),)), bulk=True)
            sent += 1
        assert BULK_AHEAD >> 20 <= sent <= (BULK_AHEAD >> 20) + 1

    def test_a_message_of_many_fragments_is_whole(self) -> None:
        world = joined()
        content = bytes(range(256)) * KIB
        world.left.session.send(Message("chunk", {}, (content, b"")), bulk=True)
        got: list[Any] = []
        while True:
            world.left.write()
            if not world.left.flying:
                break
            got += world.right.session.receive(bytes(world.left.flying), 0.0)
            world.left.flying.clear()
            world.right.write()
            world.deliver(world.right, world.left)
        assert got == [Received(Message("chunk", {}, (content, b"")))]


class TestOrdinary:
    """The class of everything that is not bulk has a window of its own."""

    @staticmethod
    def sizes(session: Session) -> list[int]:
        got = frames.Decoder().feed(flat(session.data_to_send()))
        return [len(f.body) for f in got if isinstance(f, Data)]

    def test_a_flood_waits_for_the_window(self) -> None:
        """What is ahead of an answer to a ping is bounded, however fast a cell prints."""
        session = opened()
        for _ in range(10_000):
            session.send(Message("line", {}, (bytes(100),)))
        first = self.sizes(session)
        assert START - first[0] < sum(first) <= START
        assert self.sizes(session) == []
        session.receive(frames.ack(len(first)), 0.0)
        assert sum(self.sizes(session)) == sum(first)

    def test_a_flood_does_not_hold_up_bulk_nor_the_other_way_round(self) -> None:
        session = opened()
        for bulk in (False, True):
            session.send(Message("big", {}, (NOISE,)), bulk=bulk)
        got = frames.Decoder().feed(flat(session.data_to_send()))
        kinds = [f.type for f in got if isinstance(f, Data)]
        assert kinds == [Type.PART] * (START // PIECE) + [Type.BULK] * (START // PIECE)

    def test_what_was_under_way_at_a_cut_waits_for_the_window_as_well(self) -> None:
        """The next line may be slower than the last."""
        session = opened()
        for bulk in (False, True):
            session.send(Message("big", {}, (bytes(1 << 20),)), bulk=bulk)
        session.data_to_send()
        for at in (1.0, 2.0):
            session.begin(at)
            session.greeted(HELLO)
            assert sum(self.sizes(session)) <= 2 * START

    @pytest.mark.parametrize("size", [PIECE, 100 * KIB, 1 << 20])
    def test_a_large_message_is_whole(self, size: int) -> None:
        world = joined()
        world.left.send(size)
        world.left.send()
        world.left.send(size)
        world.settle()
        world.pass_time(1)
        world.settle()
        world.check()

    def test_a_message_within_another_is_refused(self) -> None:
        session = opened()
        session.receive(flat(frames.fragment(Type.PART, 1, 0, b"half", last=False)), 0.0)
        with pytest.raises(ProtocolError, match="before the end of the one before"):
            session.receive(message(2), 0.0)

    def test_a_message_over_the_limit_is_refused_at_both_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = opened()
        monkeypatch.setattr(outbox, "LARGEST", 100)
        for bulk in (False, True):
            with pytest.raises(ProtocolError, match="larger than the limit of 100"):
                session.send(Message("big", {}, (bytes(100),)), bulk=bulk)
        part = flat(frames.fragment(Type.PART, 1, 0, bytes(60), last=False))
        again = flat(frames.fragment(Type.PART, 2, 0, bytes(60), last=False))
        session.receive(part, 0.0)
        with pytest.raises(ProtocolError, match="more than 100 bytes"):
            session.receive(again, 0.0)

    def test_a_goodbye_comes_after_what_the_window_allows(self) -> None:
        world = joined()
        world.left.send()
        world.left.session.part("shutdown")
        world.left.send()
        got = read(world.left)
        assert [type(frame) for frame in got] == [Data, Data, Note]
