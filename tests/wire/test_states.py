"""A state travels as what differs from the one before it, and arrives as it was."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message, encode
from relay_kernel.wire.states import WHOLE, Incoming, Outgoing, difference, digest, joined
from tests.wire.world import joined as two_ends

if TYPE_CHECKING:
    from tests.wire.world import End

#: A few letters, so that pieces come again, also many times.
TEXTS = st.text("ab,", max_size=60).map(str.encode) | st.binary(max_size=60)
NAMES = 1000


def state(cell: int, changed: int = -1) -> Message:
    """What is said of 1,000 variables after a cell, which changed one of them."""
    keys = [digest(b"%d %d" % (at, cell * (at == changed))) for at in range(NAMES)]
    components = [{"roots": [["n", f"v{at}"]], "id": key} for at, key in enumerate(keys)]
    manifest = json.dumps({"components": components, "execution_count": cell}).encode()
    return Message("captured", {"cell": cell, "chunks": keys}, (manifest,))


def size(message: Message) -> int:
    return len(b"".join(encode(message)))


class TestWhatTravels:
    def test_a_state_arrives_as_it_was(self) -> None:
        out, into = Outgoing(), Incoming()
        for cell, changed in enumerate((3, 3, 900, 0, 999), 1):
            message = state(cell, changed)
            assert into.unpack(out.pack(message)) == message

    def test_what_changed_little_is_little(self) -> None:
        out = Outgoing()
        assert size(out.pack(state(1))) > 20_000
        assert size(out.pack(state(2, 500))) < 1000
        assert size(out.pack(state(3, 500))) < 1000

    def test_what_was_inserted_or_removed_is_little(self) -> None:
        text = b",".join(b"piece %d" % at for at in range(NAMES))
        for other in (b"new," + text, text[9:], text.replace(b"piece 500,", b"")):
            assert len(difference(text, other)) < 60
            assert len(difference(other, text)) < 60

    def test_what_moved_is_little(self) -> None:
        old = [b"piece %d" % at for at in range(NAMES)]
        moved = b",".join(old[600:] + old[:600])
        assert len(difference(b",".join(old), moved)) < 60

    def test_what_has_no_one_part_goes_as_it_is(self) -> None:
        message = Message("captured", {"cell": 1})
        assert Outgoing().pack(message) is message
        assert Incoming().unpack(message) is message

    @given(TEXTS, TEXTS)
    def test_any_text_of_any_other(self, before: bytes, text: bytes) -> None:
        assert joined(before, difference(before, text), len(text)) == text

    @given(st.lists(st.tuples(TEXTS, st.booleans()), max_size=8))
    def test_any_states_one_after_another(self, texts: list[tuple[bytes, bool]]) -> None:
        """Some cannot be read at the other end, and are asked for."""
        out, into = Outgoing(), Incoming()
        for cell, (text, is_lost) in enumerate(texts):
            message = Message("apply", {"cell": cell, "": "\ud800\n"}, (text,))
            packed = out.pack(message)
            if is_lost:
                continue
            found = into.unpack(packed)
            if found is None:
                again = out.again()
                assert again is not None
                found = into.unpack(again)
            assert found == message


class TestASession:
    def send(self, end: End, *messages: Message) -> None:
        for message in messages:
            end.session.send(message)

    def test_states_go_both_ways_and_over_several_links(self) -> None:
        world = two_ends()
        heard: dict[str, list[Message]] = {"left": [], "right": []}
        for end, _ in world.ends:
            end.hear = heard["left" if end is world.left else "right"].append
        sent = [state(cell, cell) for cell in range(1, 6)]
        for number, message in enumerate(sent):
            for end, _ in world.ends:
                self.send(end, message)
            if number % 2:
                world.cut()
                world.link()
            world.settle()
        assert heard == {"left": sent, "right": sent}

    def test_an_end_that_lacks_the_one_before_asks_for_it_whole(self) -> None:
        world = two_ends()
        heard: list[Message] = []
        world.right.hear = heard.append
        self.send(world.left, state(1))
        world.settle()
        # As after a message that could not be read.
        world.right.session._their_states = Incoming()
        self.send(world.left, state(2, 7))
        world.settle()
        self.send(world.left, state(3, 8))
        world.settle()
        assert heard == [state(1), state(2, 7), state(3, 8)]

    def test_who_asks_for_nothing_gets_nothing(self) -> None:
        world = two_ends()
        world.right.session._put(Message(WHOLE))
        world.settle()
        world.pass_time(0.1)
        world.settle()
        assert world.left.heard == {False: [], True: []}
        world.check()


class TestWhatNoPeerSends:
    def packed(self, **head: Any) -> Message:
        good = Outgoing().pack(Message("apply", {"cell": 1}, (b"text",)))
        return Message("apply", {**good.head, **head}, good.parts)

    def test_another_digest_is_asked_about(self) -> None:
        assert Incoming().unpack(self.packed(**{"is": "0"})) is None
        assert Incoming().unpack(self.packed(of="0")) is None

    @pytest.mark.parametrize(
        "head",
        [{"size": -1}, {"size": True}, {"size": "9"}, {"size": 1 << 40}, {"size": None}],
    )
    def test_a_size_that_is_none(self, head: dict[str, Any]) -> None:
        with pytest.raises(ProtocolError, match="how many bytes"):
            Incoming().unpack(self.packed(**head))

    @pytest.mark.parametrize("size", [3, 14, 16, 999])
    def test_another_size(self, size: int) -> None:
        with pytest.raises(ProtocolError, match=f"the {size} bytes that it says"):
            Incoming().unpack(self.packed(size=size))

    def test_content_that_is_not_compressed(self) -> None:
        with pytest.raises(ProtocolError, match="compressed content cannot be read"):
            Incoming().unpack(self.packed(zstd=True))

    @pytest.mark.parametrize(
        "steps",
        [b"", b"[", b"{}", b"[1]", b"[0,1,-1]", b"[0,1,true]", b"[0,0.5,1]", b"[" * 9999],
    )
    def test_steps_that_are_none(self, steps: bytes) -> None:
        with pytest.raises(ProtocolError, match="a state "):
            joined(b"a,b", steps + b"\n", 3)

    @pytest.mark.parametrize("what", ["old", "new"])
    def test_steps_that_grow_without_bound(self, what: str) -> None:
        step = [0, 2, 0] if what == "old" else [0, 0, 1]
        said = json.dumps(step * 100_000).encode() + b"\n" + b"," * 100_000
        with pytest.raises(ProtocolError, match="more than the 9 bytes"):
            joined(b"a,b", said, 9)

    @pytest.mark.parametrize("said", [b"[]", b"7", b"{", b"\xff", b"[" * 9999])
    def test_a_text_that_says_nothing_of_itself(self, said: bytes) -> None:
        text = said + b"\nmanifest"
        head = {"of": "", "is": digest(text), "size": len(text), "zstd": False}
        with pytest.raises(ProtocolError, match="a state "):
            Incoming().unpack(Message("apply", head, (difference(b"", text),)))

    @given(TEXTS, st.lists(st.integers(-1, 9), max_size=9), TEXTS, st.integers(0, 99))
    def test_garbage_is_never_anything_but_a_protocol_error(
        self, before: bytes, steps: list[int], rest: bytes, size: int
    ) -> None:
        said = json.dumps(steps).encode() + b"\n" + rest
        with contextlib.suppress(ProtocolError):
            assert len(joined(before, said, size)) == size
