"""Brings snapshots from the primary to the server's disk, and from there to the standbys."""

from __future__ import annotations

import asyncio
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
class _Coming:
    """A snapshot whose chunks are not all here yet."""

    source: str
    epoch: int
    cell: int
    manifest: dict[str, Any]
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
        self.safe: dict[str, Any] | None = None
        """The manifest of the last safe snapshot."""
        self.problems: dict[str, dict[str, str]] = {}
        """By target: what of the last snapshot its kernel could not take, and why."""
        self._links = links
        self._emit = emit
        self._coming: _Coming | None = None
        self._saving: asyncio.Task[None] | None = None
        self._wanted = {name: Wanted(store) for name in links}
        for name, wanted in self._wanted.items():
            links[name].bulk_source = wanted.next

    # ------------------------------------------------------------------ to the server

    def captured(self, target: str, head: dict[str, Any]) -> None:
        """The kernel at ``target`` was captured after a cell."""
        manifest = head["manifest"]
        missing = self.store.missing(manifest["chunks"])
        self._coming = _Coming(target, head["epoch"], head["cell"], manifest, set(missing))
        self._keep()
        if missing:
            self._links[target].send(Message("want", {"keys": missing}))
        else:
            self._save()

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
            self._save()

    def _save(self) -> None:
        if self._saving is None:
            self._saving = asyncio.ensure_future(self._save_newest())

    async def _save_newest(self) -> None:
        """Make the newest whole snapshot durable, and again while newer ones have come."""
        while (coming := self._coming) and not coming.missing:
            self._coming = None
            try:
                await asyncio.to_thread(self.store.save, coming.manifest)
            except OSError as error:
                reason = f"the server's disk refused: {error}"
                self._emit(ev.SnapshotFailed(coming.epoch, coming.cell, reason))
                continue
            self.safe = coming.manifest
            self._keep()
            self._emit(ev.SnapshotSafe(coming.epoch, coming.cell))
        self._saving = None

    def _keep(self) -> None:
        manifests = [self.safe, self._coming.manifest if self._coming else None]
        self.store.keep("mover", [key for m in manifests if m for key in m["chunks"]])

    # ------------------------------------------------------------------ to the standbys

    def fill(self, target: str, cell: int) -> None:
        """Bring the last safe snapshot, which is that after ``cell``, to a target."""
        if self.safe is None:
            self._emit(ev.ApplyFailed(target, cell, "there is no safe snapshot"))
            return
        self._links[target].send(Message("apply", {"cell": cell, "manifest": self.safe}))

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
