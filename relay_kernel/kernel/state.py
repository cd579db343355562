"""Brings snapshots from the primary to the server's disk, and from there to the standbys."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.kernel.healing import Healer, lost_chunk
from relay_kernel.store.chunks import StoreError
from relay_kernel.store.replaced import want
from relay_kernel.store.wanted import BaseError, Prefetched, Wanted, chunk_data
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relay_kernel.kernel.targets import TargetLink
    from relay_kernel.store.chunks import Store

log = logging.getLogger(__name__)

#: Seconds for which a snapshot waits for a newer one before it goes to the disk and to standbys, so
#: that a run of short cells is not slowed by the states between them.
GATHER = 0.05
#: Seconds for which the end of a notebook waits for the snapshot after its last cell, and then for
#: the disk to have it.
LAST = 0.35


@dataclass
class Snapshot:
    """The state after a cell, on its way to the server or there."""

    source: str
    epoch: int
    cell: int
    keys: list[str]
    manifest: bytes
    missing: set[str]
    stirred: int = 0
    """The last ``StateStirred`` that it was ordered for."""


class StateMover:
    """One for each notebook. Only the newest snapshot is fetched: it holds all that is older.

    Args:
        store: the server's.
        links: by target name.
        emit: takes the events for the router.
        primary: which target runs the cells, and the epoch.
        about: makes ``about.json`` from a manifest and the number of its cell.
        on_safe: called when ``safe_cell`` has risen.
    """

    def __init__(
        self,
        store: Store,
        links: dict[str, TargetLink],
        emit: Callable[[ev.Event], None],
        primary: Callable[[], tuple[str, int]],
        about: Callable[[bytes, int], bytes] = lambda manifest, cell: b"",
        on_safe: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.problems: dict[str, dict[str, str]] = {}
        """By target: what of the last snapshot its kernel could not take, and why."""
        self.parked: dict[str, dict[str, str]] = {}
        """By target: what of it stays on the disk there, for want of memory."""
        self.safe_cell = 0
        """The last cell whose snapshot is durable here."""
        self._links = links
        self._emit = emit
        self._primary = primary
        self._about = about
        self._on_safe = on_safe
        self.restored: tuple[list[str], dict[str, dict[str, str]]] = ([], {})
        """What :meth:`variables` said of the state that was restored last."""
        self._newest: Snapshot | None = None
        self._read: tuple[bytes, dict[str, Any]] = (b"", {})
        """The manifest that was read last, and what it says."""
        self._coming: Snapshot | None = None
        self._whole: Snapshot | None = None
        self._saved: Snapshot | None = None
        self._safe: Snapshot | None = None
        self._saving: asyncio.Task[None] | None = None
        self._rose = asyncio.Event()
        #: Set when a snapshot came, or failed.
        self._ended = asyncio.Event()
        self._fills: dict[str, asyncio.TimerHandle] = {}
        self._filling: dict[str, Snapshot] = {}
        #: What the agents of other machines have.
        self._held: dict[str, Snapshot] = {}
        self._healer = Healer(primary, lambda name, order: links[name].send(order), self.wanted)
        self._wanted: dict[str, Wanted] = {}
        for name in links:
            self.connect(name)

    def connect(self, target: str) -> None:
        """Serve the link to a target."""
        wanted = self._wanted[target] = self._source(target)
        self._links[target].bulk_source = wanted.next

    def _source(self, target: str) -> Wanted:
        def on_bad(key: str) -> bool:
            if not self._healer.had(target, key, self._newest.cell if self._newest else 0):
                self._links[target].send(lost_chunk(key))
            return True

        if target == LOCAL:
            # No line is between, and the store is the same.
            return Wanted(self.store, on_bad)
        return Prefetched(self.store, self._links[target].flush, on_bad)

    # ------------------------------------------------------------------ to the server

    def captured(self, target: str, message: Message) -> None:
        """The kernel at ``target`` was captured after a cell."""
        self._healer.calm()
        head = message.head
        self.parked[target] = head.get("parked", {})
        if self._whole and head["cell"] < self._whole.cell:
            # A kept state has taken its place meanwhile.
            return
        keys = head["chunks"]
        missing = self.store.missing(keys)
        manifest = bytes(message.parts[0])
        snapshot = Snapshot(target, head["epoch"], head["cell"], keys, manifest, set(missing))
        before = self._coming.stirred if self._coming else 0
        snapshot.stirred = max(before, head.get("stirred", 0))
        self._coming = self._newest = snapshot
        self._keep()
        if missing:
            whole = self._whole
            here = (whole.manifest, whole.keys) if whole else (b"", [])
            self._links[target].send(want(missing, manifest, *here))
        else:
            self._arrived()

    def capture_again(self, target: str, epoch: int, cell: int, stirred: int) -> None:
        """Something beside the cells has changed the state at ``target`` since ``cell``.

        ``stirred`` comes back with the snapshot, in ``SnapshotArrived``.
        """
        self._healer.capture_again(target, epoch, cell, distrust=False, stirred=stirred)

    def chunk(self, target: str, message: Message) -> None:
        """A chunk came from ``target``."""
        coming, key = self._coming, message.head["key"]
        if coming is None or target != coming.source or key not in coming.missing:
            return
        try:
            if "error" in message.head:
                raise StoreError(message.head["error"])
            self.store.put(key, chunk_data(message, self.store))
        except BaseError:
            self._links[target].send(Message("want", {"keys": [key]}))
            return
        except StoreError as error:
            self._coming = None
            if not self._healer.source_lacks(target, coming.epoch, coming.cell, {key}):
                self._failed(coming.epoch, coming.cell, str(error))
            return
        except OSError as error:
            self._coming = None
            reason = f"the server's disk refused: {error.strerror or error}"
            self._failed(coming.epoch, coming.cell, reason)
            self._healer.try_later(target, coming.epoch, coming.cell)
            return
        coming.missing.discard(key)
        if not coming.missing:
            self._arrived()

    def uncaptured(self, target: str, head: dict[str, Any]) -> None:
        """The kernel at ``target`` could not be captured."""
        self._failed(head["epoch"], head["cell"], head["reason"])
        self._healer.try_later(target, head["epoch"], head["cell"])

    def _failed(self, epoch: int, cell: int, reason: str) -> None:
        self._healer.settle(self.store.missing)
        self._emit(ev.SnapshotFailed(epoch, cell, reason))
        self._ended.set()

    def _arrived(self) -> None:
        """A snapshot is whole here: standbys may have it at once, the disk when it can."""
        snapshot, self._coming = self._coming, None
        assert snapshot is not None
        before, self._whole = self._whole, snapshot
        self._keep()
        if self._saving is None:
            self._saving = asyncio.ensure_future(self._save())
        self._healer.settle(self.store.missing)
        anew = (
            before is not None
            and (before.epoch, before.cell) == (snapshot.epoch, snapshot.cell)
            and before.manifest != snapshot.manifest
        )
        self._emit(ev.SnapshotArrived(snapshot.epoch, snapshot.cell, anew, snapshot.stirred))
        self._ended.set()

    async def _save(self) -> None:
        """Make the newest whole snapshot durable, and again while newer ones have come."""
        while self._whole is not self._saved:
            await asyncio.sleep(GATHER)
            snapshot = self._saved = self._whole
            assert snapshot is not None
            self._keep()
            try:
                await asyncio.to_thread(self._write, snapshot)
            except OSError as error:
                reason = f"the server's disk refused: {error}"
                self._emit(ev.SnapshotFailed(snapshot.epoch, snapshot.cell, reason))
            else:
                self.safe_cell = snapshot.cell
                self._safe = snapshot
                self._rose.set()
                self._on_safe()
        self._saving = None

    async def until_safe(self, cell: int) -> None:
        """Return when the state after ``cell`` is durable here."""
        while self.safe_cell < cell:
            self._rose.clear()
            await self._rose.wait()

    def _write(self, snapshot: Snapshot) -> None:
        about = self._about(snapshot.manifest, snapshot.cell)
        self.store.save(snapshot.manifest, snapshot.keys, about)

    async def finish(self, is_coming: Callable[[], bool]) -> None:
        """The notebook ends: let the state after its last cell get to the disk.

        ``is_coming`` says whether its snapshot is still to come; that is waited for, but not long.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                while is_coming():
                    self._ended.clear()
                    await self._ended.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                if self._saving:
                    await asyncio.shield(self._saving)

    def _keep(self) -> None:
        """Keep the chunks of all snapshots that are under way to somewhere, or are the last.

        And of the one that is on the disk, until another has taken its place there, and of those
        that targets have: what they need next travels as its difference to that.
        """
        under_way = [self._whole, self._coming, self._saved, self._safe, *self._filling.values()]
        needed = [*under_way, *self._held.values()]
        self.store.keep("mover", {key for one in needed if one for key in one.keys})

    # ------------------------------------------------------------------ a kept state

    def adopt(self, manifest: bytes, keys: list[str], cell: int) -> None:
        """Take a kept state, whose chunks are in the store, for the state after a cell."""
        epoch = self._primary()[1]
        self._coming = None
        self._newest = self._whole = Snapshot(LOCAL, epoch, cell, keys, manifest, set())
        self._keep()
        self.store.keep("lent", ())
        self.restored = self.variables()
        if self._saving is None:
            self._saving = asyncio.ensure_future(self._save())

    def variables(self) -> tuple[list[str], dict[str, dict[str, str]]]:
        """The names in the newest snapshot, and those left behind with type and reason."""
        if self._newest is None:
            return [], {}
        manifest = self._manifest(self._newest)
        return manifest["names"], manifest["left_behind"]

    @property
    def source(self) -> str:
        """Where the newest snapshot was taken, and so where that is which it left behind."""
        return self._newest.source if self._newest else LOCAL

    def _manifest(self, snapshot: Snapshot) -> dict[str, Any]:
        if self._read[0] is not snapshot.manifest:
            self._read = (snapshot.manifest, json.loads(snapshot.manifest))
        return self._read[1]

    def remarks(self) -> list[str]:
        """What else a person should know of the newest snapshot: a line for each."""
        if self._newest is None:
            return []
        manifest = self._manifest(self._newest)
        lines = [
            f"{name} changed while it was packed: what travels of it is of no single moment"
            for name in manifest.get("live", [])
        ]
        if count := manifest.get("threads", 0):
            lines.append(f"threads of yours that run, and stay where they are: {count}")
        if manifest.get("digest", "xxh3") != "xxh3":
            lines.append(
                f"xxhash is not installed in the environment of the kernel at {manifest['place']}: "
                "finding out what changed takes several times as long as with it"
            )
        return lines

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

    def wanted(self, target: str, keys: list[str], of: Iterable[str | None] = ()) -> None:
        """``target`` asks for chunks, and has those of ``of``; see :meth:`Wanted.ask`."""
        self._wanted[target].ask(keys, of)
        self._links[target].flush()

    def applied(self, target: str, head: dict[str, Any]) -> None:
        """The kernel at ``target`` took a snapshot over."""
        filled = self._filling.pop(target, None)
        if filled and target != LOCAL:
            self._held[target] = filled
        self.problems[target] = head["problems"]
        self.parked[target] = head.get("parked", {})
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
        self._held.pop(target, None)
        self._wanted[target].clear()
        self._healer.forget(target, self.store.missing)
        self.problems.pop(target, None)
        self.parked.pop(target, None)
        if self._coming and self._coming.source == target:
            self._coming = None
        self._newest = self._whole
