"""What waits for the link comes out as it went in, wherever it waited."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire import outbox
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Type
from relay_kernel.wire.outbox import Piece, Queue, cut
from relay_kernel.wire.window import PIECE
from tests.wire.world import MemorySpool


def piece(number: int, size: int = 100) -> Piece:
    return Piece(Type.DATA, True, number.to_bytes(4, "big") + bytes(size - 4))


def take(queue: Queue) -> list[int]:
    """The numbers of all pieces that are in the queue, which is then empty."""
    numbers = []
    while queue.count:
        numbers.append(int.from_bytes(bytes(queue.peek().body[:4]), "big"))
        queue.pop()
    return numbers


class TestCutting:
    @pytest.mark.parametrize("size", [0, 1, PIECE])
    def test_a_small_message_is_one_piece(self, size: int) -> None:
        body = bytes(size)
        assert list(cut(body, PIECE, bulk=False)) == [Piece(Type.DATA, True, body)]

    @pytest.mark.parametrize("size", [PIECE + 1, 2 * PIECE, 2 * PIECE + 1])
    @pytest.mark.parametrize("bulk", [False, True])
    def test_a_large_one_is_several(self, size: int, bulk: bool) -> None:
        body = bytes(range(251)) * (size // 251 + 1)
        pieces = list(cut(body[:size], PIECE, bulk=bulk))
        assert b"".join(piece.body for piece in pieces) == body[:size]
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert max(len(piece.body) for piece in pieces) <= PIECE
        assert {piece.type for piece in pieces} == {Type.BULK if bulk else Type.PART}

    def test_small_bulk_is_a_fragment_all_the_same(self) -> None:
        """Its type says in which class it came."""
        assert [piece.type for piece in cut(b"x", PIECE, bulk=True)] == [Type.BULK]

    def test_what_no_peer_takes_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox, "LARGEST", 10)
        with pytest.raises(ProtocolError, match="11 bytes is larger than the limit of 10"):
            cut(bytes(11), PIECE, bulk=False)


class TestQueue:
    def test_within_the_bound_nothing_is_spooled(self) -> None:
        spool = MemorySpool()
        queue = Queue(spool, 10_000)
        for number in range(20):
            queue.put(piece(number))
        assert spool.blocks == []
        assert (queue.count, queue.size) == (20, 2000)
        assert take(queue) == list(range(20))
        assert (queue.count, queue.size) == (0, 0)

    def test_beyond_it_memory_does_not_grow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox, "BLOCK", 2000)
        spool = MemorySpool()
        queue = Queue(spool, 10_000)
        for number in range(1000):
            queue.put(piece(number))
        in_spool = sum(map(len, spool.blocks))
        assert queue.size - in_spool < 12_000
        assert take(queue) == list(range(1000))

    def test_once_empty_the_spool_gives_its_space_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "BLOCK", 500)
        spool = MemorySpool()
        queue = Queue(spool, 0)
        for round_ in range(3):
            for number in range(20):
                queue.put(piece(number))
            assert spool.blocks
            assert take(queue) == list(range(20))
            assert spool.blocks == [], f"round {round_}"
        queue.put(piece(1))
        queue.clear()
        assert (queue.count, queue.size, spool.blocks) == (0, 0, [])

    def test_a_full_disk_loses_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox, "BLOCK", 500)
        spool = MemorySpool()
        queue = Queue(spool, 0)
        for number in range(60):
            spool.full = 20 <= number < 40
            queue.put(piece(number))
        assert spool.refused
        assert take(queue) == list(range(60))

    def test_what_cannot_be_read_now_is_still_the_next(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "BLOCK", 500)
        spool = MemorySpool()
        queue = Queue(spool, 0)
        for number in range(10):
            queue.put(piece(number))

        def fail(reference: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as broken:
            broken.setattr(spool, "read", fail)
            for _ in range(2):
                with pytest.raises(OSError, match="Input/output"):
                    queue.peek()
        assert take(queue) == list(range(10))

    @given(
        st.lists(st.one_of(st.integers(4, 400), st.none()), max_size=200),
        st.integers(0, 2000),
        st.integers(1, 1000),
    )
    def test_puts_and_takes_in_any_order(
        self, steps: list[int | None], memory: int, block: int
    ) -> None:
        """A number is the size of a piece that is put; None takes one."""
        old, outbox.BLOCK = outbox.BLOCK, block
        try:
            queue = Queue(MemorySpool(), memory)
            model: list[Piece] = []
            for number, size in enumerate(steps):
                if size is not None:
                    model.append(piece(number, size))
                    queue.put(model[-1])
                elif model:
                    assert queue.peek() == model[0]
                    assert queue.pop() == model.pop(0)
                assert queue.count == len(model)
                assert queue.size == sum(len(each.body) for each in model)
        finally:
            outbox.BLOCK = old
