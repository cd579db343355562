"""Brings snapshots from the primary to the server's disk, and from there to the standbys."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.core import events as ev
from relay_kernel.store.chunks import StoreError
from relay_kernel.store.wanted import Wanted
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.kernel.targets import TargetLink
    from relay_kernel.store.chunks import Store

log = logging.getLogger(__name__)

#: Seconds for which a snapshot waits for a newer one before it goes to the disk and to standbys, so
#: that a run of short cells is not slowed by the states between them.
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


class StateMover:
    """One for each notebook. Only the newest snapshot is fetched: it holds all that is older.

    Args:
        store: the server's.
        links: by target name.
        emit: takes the events for the router.
    """

    def __init__(
        self, store: Store, links: dict[str, TargetLink], emit: Callable[[ev.Event], None]
    ) -> None:
        self.store = store
        self.problems: dict[str, dict[str, str]] = {}
        """By target: what of the last snapshot its kernel could not take, and why."""
        self.safe_cell = 0
        """The last cell whose snapshot is durable here."""
        self._links = links
        self._emit = emit
        self._newest: Snapshot | None = None
        self._coming: Snapshot | None = None
        self._whole: Snapshot | None = None
        self._saved: Snapshot | None = None
        self._saving: asyncio.Task[None] | None = None
        self._fills: dict[str, asyncio.TimerHandle] = {}
        self._filling: dict[str, Snapshot] = {}
        self._wanted = {name: Wanted(store) for name in links}
        for name, wanted in self._wanted.items():
            links[name].bulk_source = wanted.next

    # ------------------------------------------------------------------ to the server

    def captured(self, target: str, message: Message) -> None:
        """The kernel at ``target`` was captured after a cell."""
        head = message.head
        keys = head["chunks"]
        missing = self.store.missing(keys)
        manifest = bytes(message.parts[0])
        snapshot = Snapshot(target, head["epoch"], head["cell"], keys, manifest, set(missing))
        self._coming = self._newest = snapshot
        self._keep()
        if missing:
            self._links[target].send(Message("want", {"keys": missing}))
        else:
            self._arrived()

    def chunk(self, target: str, message: Message) -> None:
        """A chunk came from ``target``."""
        coming, key = self._coming, message.head["key"]
        if coming is None or target != coming.source or key not in coming.missing:
            return
        try:
            if "error" in message.head:
                raise StoreError(message.head["error"])
            self.store.put(key, bytes(message.parts[0]))
        except (StoreError, OSError) as error:
            self._coming = None
            self._emit(ev.SnapshotFailed(coming.epoch, coming.cell, str(error)))
            return
        coming.missing.discard(key)
        if not coming.missing:
            self._arrived()

    def _arrived(self) -> None:
        """A snapshot is whole here: standbys may have it at once, the disk when it can."""
        snapshot, self._coming = self._coming, None
        assert snapshot is not None
        self._whole = snapshot
        self._keep()
        if self._saving is None:
            self._saving = asyncio.ensure_future(self._save())
        self._emit(ev.SnapshotArrived(snapshot.epoch, snapshot.cell))

    async def _save(self) -> None:
        """Make the newest whole snapshot durable, and again while newer ones have come."""
        while self._whole is not self._saved:
            await asyncio.sleep(GATHER)
            snapshot = self._saved = self._whole
            assert snapshot is not None
            self._keep()
            try:
                await asyncio.to_thread(self.store.save, snapshot.manifest, snapshot.keys)
            except OSError as error:
                reason = f"the server's disk refused: {error}"
                self._emit(ev.SnapshotFailed(snapshot.epoch, snapshot.cell, reason))
            else:
                self.safe_cell = snapshot.cell
        self._saving = None

    def _keep(self) -> None:
        """Keep the chunks of all snapshots that are under way to somewhere, or are the last."""
        under_way = [self._whole, self._coming, self._saved, *self._filling.values()]
        self.store.keep("mover", {key for one in under_way if one for key in one.keys})

    def variables(self) -> tuple[list[str], dict[str, dict[str, str]]]:
        """The names in the newest snapshot, and those left behind with type and reason."""
        if self._newest is None:
            return [], {}
        manifest = json.loads(self._newest.manifest)
        return manifest["names"], manifest["left_behind"]

    # ------------------------------------------------------------------ to the standbys

    def fill(self, target: str) -> None:
        """Bring the newest whole snapshot to a target, soon."""
        if target not in self._fills:
            loop = asyncio.get_running_loop()
            self._fills[target] = loop.call_later(GATHER, self._fill, target)

    def _fill(self, target: str) -> None:
        snapshot = self._whole
        assert snapshot is not None
        del self._fills[target]
        self._filling[target] = snapshot
        head = {"cell": snapshot.cell, "chunks": snapshot.keys}
        self._links[target].send(Message("apply", head, (snapshot.manifest,)))

    def wanted(self, target: str, keys: list[str]) -> None:
        """``target`` asks for chunks."""
        self._wanted[target].keys.extend(keys)
        self._links[target].flush()

    def applied(self, target: str, head: dict[str, Any]) -> None:
        """The kernel at ``target`` took a snapshot over."""
        self._filling.pop(target, None)
        self.problems[target] = head["problems"]
        self._emit(ev.SnapshotApplied(target, head["cell"]))

    def unapplied(self, target: str, head: dict[str, Any]) -> None:
        """The kernel at ``target`` could not take a snapshot over."""
        self._filling.pop(target, None)
        self._emit(ev.ApplyFailed(target, head["cell"], head["reason"]))

    def forget(self, target: str) -> None:
        """The kernel at a target is gone, or given up: what it owes will not come."""
        if fill := self._fills.pop(target, None):
            fill.cancel()
        self._filling.pop(target, None)
        self._wanted[target].keys.clear()
        self.problems.pop(target, None)
        if self._coming and self._coming.source == target:
            self._coming = None
        self._newest = self._whole
