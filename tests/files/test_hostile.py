"""A peer that sends what no correct peer sends: nothing is done with it, at either end."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.core.plan import Change
from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files import packing
from relay_kernel.files.digest import digest
from relay_kernel.files.errors import UnsafePathError
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.message import Message
from tests.files.duo import NAME, SOON, content, write

if TYPE_CHECKING:
    from tests.files.duo import Duo

FILE = Entry(Kind.FILE, digest(b"evil"), 0o644, 4)
OUTSIDE = (
    b"../evil",
    b"/etc/evil",
    b"a/../../evil",
    b"a//evil",
    b"./evil",
    b"",
    b"evil/",
    b"ev\0il",
    b".relay/root",
    b".relay",
    b"x" * 5000,
)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: repr(path[:20]))
class TestPaths:
    def test_one_that_leaves_the_folder_is_not_read(self, path: bytes) -> None:
        with pytest.raises(ProtocolError, match="leaves the folder"):
            packing.unpack_entries(packing.pack_entries([(path, FILE)]))
        for change in (Change(path, None, FILE), Change(b"x", FILE, None, path)):
            with pytest.raises(ProtocolError, match="leaves the folder"):
                packing.unpack_changes(packing.pack_changes([change]))
        with pytest.raises(ProtocolError, match="leaves the folder"):
            packing.unpack_reasons(packing.pack_reasons({path: "why"}))

    async def test_the_target_refuses_one(self, linked: Duo, path: bytes) -> None:
        before = content(linked.homes["target"])
        parts = (packing.pack_changes([Change(path, None, FILE)]), packing.pack_values([b"evil"]))
        with pytest.raises(UnsafePathError, match="leaves the folder"):
            await linked.line.ask("commit", {"folder": NAME}, parts)
        for kind in ("fetch", "offer", "receive", "take", "flush", "restore"):
            entry = packing.pack_entry(FILE)
            paths = packing.pack_paths([path])
            parts = {
                "fetch": (paths, packing.pack_values([entry]), paths),
                "flush": (paths,),
                "restore": (paths,),
            }.get(kind, (entry, paths, packing.pack_pieces([FILE.content])))
            with pytest.raises(UnsafePathError, match="leaves the folder"):
                await linked.line.ask(kind, {"folder": NAME, "t": 1, "when": "x"}, parts)
        assert content(linked.homes["target"]) == before

    async def test_the_server_ends_the_link_that_brings_one(self, linked: Duo, path: bytes) -> None:
        write(linked.here / "kept", "x")
        await linked.equal()
        before = content(linked.homes["server"])
        assert linked.end
        parts = (packing.pack_entries([(path, FILE)]), packing.pack_paths([]))
        linked.end.line.tell("changed", {"folder": NAME}, parts)
        await asyncio.wait_for(linked.line.closed.wait(), SOON)
        assert "leaves the folder" in linked.line.reason
        assert content(linked.homes["server"]) == before


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc", "a//b", "a/./b"])
async def test_the_target_opens_no_folder_outside_of_its_home(linked: Duo, name: str) -> None:
    before = set(os.listdir(linked.homes["target"].parent))
    with pytest.raises(UnsafePathError, match="no folder below the home"):
        await linked.line.ask("open", {"folder": name, "rules": {}})
    assert set(os.listdir(linked.homes["target"].parent)) == before


class TestLinks:
    async def test_nothing_is_written_through_a_link(self, linked: Duo) -> None:
        """A folder that has become a link while a change of what is in it was on its way."""
        outside = linked.homes["target"] / "outside"
        outside.mkdir()
        (linked.there / "way").symlink_to(outside)
        change = Change(b"way/evil", None, FILE)
        parts = (packing.pack_changes([change]), packing.pack_values([b"evil"]))
        answer = await linked.line.ask("commit", {"folder": NAME}, parts)
        assert packing.unpack_values(answer.parts[0])[0]
        assert list(outside.iterdir()) == []

    async def test_a_link_out_of_the_folder_travels_as_a_link(self, linked: Duo) -> None:
        (linked.here / "out").symlink_to("/etc/passwd")
        await linked.equal()
        assert os.readlink(linked.there / "out") == "/etc/passwd"


@pytest.mark.parametrize(
    "message",
    [
        Message("changed", {"folder": NAME}, (b"\xff", b"\x90")),
        Message("changed", {"folder": NAME}, (packing.pack_values([1]), b"\x90")),
        Message("changed", {"folder": NAME}, ()),
        Message("answer", {}),
        Message("chunk", {}),
        Message("want", {"t": []}),
        Message("want", {"n": [1]}),
    ],
    ids=lambda message: f"{message.kind} {message.head}",
)
async def test_what_cannot_be_read_ends_the_link(linked: Duo, message: Message) -> None:
    linked.line.handle(message)
    await asyncio.wait_for(linked.line.closed.wait(), SOON)
    assert linked.line.reason
    await linked.cut()
    await linked.link()
    await linked.equal()


@pytest.mark.parametrize(
    "entry",
    [
        Entry(Kind.FILE, b"short", 0o644, 4),
        Entry(Kind.FILE, digest(b""), 0o4755, 0),
        Entry(Kind.FOLDER, b"content", 0o755),
        Entry(Kind.LINK, b""),
        Entry(Kind.LINK, b"a\0b"),
    ],
    ids=repr,
)
def test_an_entry_that_cannot_be_is_not_read(entry: Entry) -> None:
    with pytest.raises(ProtocolError):
        packing.unpack_entry(packing.pack_entry(entry))


def test_what_was_packed_comes_out() -> None:
    entries = [(b"caf\xe9", FILE), (b"d", Entry(Kind.FOLDER, mode=0o700)), (b"gone", None)]
    assert packing.unpack_entries(packing.pack_entries(entries)) == entries
    changes = [Change(b"a/b", None, FILE), Change(b"c", FILE, None, b"c (pc)")]
    assert packing.unpack_changes(packing.pack_changes(changes)) == changes
    values: list[Any] = [b"\0", "text", 7, None]
    assert packing.unpack_values(packing.pack_values(values)) == values
