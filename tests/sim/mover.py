"""Brings snapshots to the server and to the standbys, as ``relay_kernel.kernel.state`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.core import events as ev
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.clock import Process, Timer
    from tests.sim.host import Chunks
    from tests.sim.target import Target

GATHER = 0.05


@dataclass
class Snapshot:
    """The state after a cell, on its way to the server or there."""

    source: str
    epoch: int
    cell: int
    keys: list[str]
    manifest: bytes
    missing: set[str]


class Mover:
    """One for each notebook."""

    def __init__(
        self,
        process: Process,
        chunks: Chunks,
        links: dict[str, Target],
        emit: Callable[[ev.Event], None],
    ) -> None:
        self._process = process
        self._chunks = chunks
        self._links = links
        self._emit = emit
        self._coming: Snapshot | None = None
        self._whole: Snapshot | None = None
        self._fills: dict[str, Timer] = {}
        self._wanted: dict[str, list[str]] = {}
        for name in links:
            self.connect(name)

    def connect(self, target: str) -> None:
        wanted = self._wanted[target] = []
        self._links[target].bulk_source = lambda: self._chunks.message(wanted)

    # ------------------------------------------------------------------ to the server

    def captured(self, target: str, message: Message) -> None:
        head = message.head
        missing = self._chunks.missing(head["chunks"])
        manifest = bytes(message.parts[0])
        self._coming = Snapshot(
            target, head["epoch"], head["cell"], head["chunks"], manifest, set(missing)
        )
        if missing:
            self._links[target].send(Message("want", {"keys": missing}))
        else:
            self._arrived()

    def chunk(self, target: str, message: Message) -> None:
        coming, key = self._coming, message.head["key"]
        if coming is None or target != coming.source or key not in coming.missing:
            return
        if "error" in message.head:
            self._coming = None
            self._emit(ev.SnapshotFailed(coming.epoch, coming.cell, message.head["error"]))
            return
        self._chunks.put({key: len(message.parts[0])})
        coming.missing.discard(key)
        if not coming.missing:
            self._arrived()

    def _arrived(self) -> None:
        snapshot, self._coming = self._coming, None
        assert snapshot is not None
        self._whole = snapshot
        self._emit(ev.SnapshotArrived(snapshot.epoch, snapshot.cell))

    # ------------------------------------------------------------------ to the standbys

    def fill(self, target: str) -> None:
        if target not in self._fills:
            self._fills[target] = self._process.later(GATHER, lambda: self._fill(target))

    def _fill(self, target: str) -> None:
        snapshot = self._whole
        assert snapshot is not None
        del self._fills[target]
        head = {"cell": snapshot.cell, "chunks": snapshot.keys}
        self._links[target].send(Message("apply", head, (snapshot.manifest,)))

    def wanted(self, target: str, keys: list[str]) -> None:
        self._wanted[target].extend(keys)
        self._links[target].pump.flush()

    def applied(self, target: str, head: dict[str, Any]) -> None:
        self._emit(ev.SnapshotApplied(target, head["cell"]))

    def unapplied(self, target: str, head: dict[str, Any]) -> None:
        self._emit(ev.ApplyFailed(target, head["cell"], head["reason"]))

    def forget(self, target: str) -> None:
        if fill := self._fills.pop(target, None):
            fill.cancel()
        self._wanted[target].clear()
        if self._coming and self._coming.source == target:
            self._coming = None
