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
        self._saving: asyncio.Task[None] | None = None
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
        saved = None
        while saved is not self._whole:
            saved = self._whole
            assert saved is not None
            try:
                await asyncio.to_thread(self.store.save, saved.manifest, saved.keys)
            except OSError as error:
                reason = f"the server's disk refused: {error}"
                self._emit(ev.SnapshotFailed(saved.epoch, saved.cell, reason))
                continue
            self.safe_cell = saved.cell
        self._saving = None

    def _keep(self) -> None:
        snapshots = [snapshot for snapshot in (self._whole, self._coming) if snapshot]
        self.store.keep("mover", [key for snapshot in snapshots for key in snapshot.keys])

    def variables(self) -> tuple[list[str], dict[str, dict[str, str]]]:
        """The names in the newest snapshot, and those left behind with type and reason."""
        if self._newest is None:
            return [], {}
        manifest = json.loads(self._newest.manifest)
        return manifest["names"], manifest["left_behind"]

    # ------------------------------------------------------------------ to the standbys

    def fill(self, target: str, cell: int) -> None:
        """Bring the newest whole snapshot, which is that after ``cell``, to a target."""
        assert self._whole is not None
        head = {"cell": cell, "chunks": self._whole.keys}
        self._links[target].send(Message("apply", head, (self._whole.manifest,)))

    def wanted(self, target: str, keys: list[str]) -> None:
        """``target`` asks for chunks."""
        self._wanted[target].keys.extend(keys)
        self._links[target].flush()

    def applied(self, target: str, head: dict[str, Any]) -> None:
        """The kernel at ``target`` took a snapshot over."""
        self.problems[target] = head["problems"]
        self._emit(ev.SnapshotApplied(target, head["cell"]))

    def unapplied(self, target: str, head: dict[str, Any]) -> None:
        """The kernel at ``target`` could not take a snapshot over."""
        self._emit(ev.ApplyFailed(target, head["cell"], head["reason"]))

    def lost(self, target: str) -> None:
        """A target was given up: what it owes will not come."""
        self._wanted[target].keys.clear()
        self.problems.pop(target, None)
        if self._coming and self._coming.source == target:
            self._coming = None
        self._newest = self._whole
