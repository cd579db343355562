"""Snapshots between the stores: what changed travels as its difference to what is there."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.kernel import state
from relay_kernel.kernel.state import StateMover
from relay_kernel.kernel.targets import Callbacks, TargetLink
from relay_kernel.store.chunks import CHUNK, Store, digest
from relay_kernel.store.wanted import chunk_message
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from pathlib import Path

OLD = random.Random(4).randbytes(CHUNK)
NEW = b"new" + OLD[3:]
NEWER, LAST = b"newer" + OLD[5:], b"last" + OLD[4:]


class Carrier:
    """Takes the orders to one target."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.came = asyncio.Event()

    def send(self, message: Message) -> None:
        self.sent.append(message)
        self.came.set()

    def flush(self) -> None:
        pass


def manifest(data: bytes) -> bytes:
    """Of a state that has one variable."""
    blob = {"size": len(data), "chunks": [digest(data)]}
    component = {"roots": [["n", "a"]], "data": blob}
    said = {"components": [component], "sources": {}, "context": {}, "chunks": {digest(data): 0}}
    return json.dumps(said).encode()


class Mover:
    """R's side of the states, with a PC that runs the cells and one that stands by."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.events: list[ev.Event] = []
        callbacks = Callbacks(event=self.events.append, report=lambda target, message: None)
        self.links = {name: TargetLink(name, callbacks) for name in ("pc", "attic", LOCAL)}
        self.carriers = {name: Carrier() for name in self.links}
        for name, link in self.links.items():
            link.carrier = self.carriers[name]  # type: ignore[assignment]
        self.mover = StateMover(self.store, self.links, self.events.append, lambda: ("pc", 1))

    def captured(self, cell: int, data: bytes) -> dict[str, Any]:
        """The PC tells of a state; return what is asked for."""
        head = {"cell": cell, "epoch": 1, "chunks": [digest(data)]}
        self.mover.captured("pc", Message("captured", head, (manifest(data),)))
        return self.asked()

    def asked(self) -> dict[str, Any]:
        order = self.carriers["pc"].sent[-1]
        assert order.kind == "want"
        return order.head

    def arrived(self, cell: int, data: bytes) -> None:
        """The PC's state is here."""
        self.captured(cell, data)
        self.mover.chunk("pc", chunk_message(digest(data), data))
        assert self.store.get(digest(data)) == data


@pytest.fixture
def mover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mover:
    monkeypatch.setattr(state, "GATHER", 0.0)
    return Mover(tmp_path)


async def test_a_chunk_is_asked_for_by_the_one_that_it_takes_the_place_of(mover: Mover) -> None:
    assert mover.captured(1, OLD) == {"keys": [digest(OLD)]}
    mover.mover.chunk("pc", chunk_message(digest(OLD), OLD))
    assert mover.captured(2, NEW) == {"keys": [digest(NEW)], "of": [digest(OLD)]}
    small = chunk_message(digest(NEW), NEW, (digest(OLD), OLD))
    assert len(small.parts[0]) < 200
    mover.mover.chunk("pc", small)
    assert mover.store.get(digest(NEW)) == NEW
    assert isinstance(mover.events[-1], ev.SnapshotArrived)


async def test_where_that_has_gone_bad_it_is_asked_for_whole(mover: Mover) -> None:
    mover.arrived(1, OLD)
    mover.captured(2, NEW)
    next(mover.store.root.glob(f"chunks/*/{digest(OLD)}")).write_bytes(b"torn")
    mover.mover.chunk("pc", chunk_message(digest(NEW), NEW, (digest(OLD), OLD)))
    assert mover.asked() == {"keys": [digest(NEW)]}
    mover.mover.chunk("pc", chunk_message(digest(NEW), NEW))
    assert mover.store.get(digest(NEW)) == NEW


async def test_what_a_target_has_is_kept_until_it_has_another(mover: Mover) -> None:
    mover.arrived(1, OLD)
    mover.mover.fill("attic")
    await asyncio.wait_for(mover.carriers["attic"].came.wait(), 20)
    mover.mover.applied("attic", {"cell": 1, "problems": {}})
    for cell, data in ((2, NEW), (3, NEWER), (4, LAST)):
        mover.arrived(cell, data)
        await mover.mover.until_safe(cell)
    assert mover.store.missing([digest(OLD), digest(NEW)]) == [digest(NEW)]
    mover.mover.forget("attic")
    mover.arrived(5, NEW)
    assert mover.store.missing([digest(OLD)])
