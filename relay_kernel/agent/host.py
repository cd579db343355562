"""The agent of one kernel: orders come in over a session, reports go out.

Orders: ``start``, ``frames``, ``interrupt``, ``warm``, ``apply``, ``capture``, ``want``,
``chunk``, ``usage``.
Reports: ``started``, ``failed``, ``died``, ``frames``, ``captured``, ``uncaptured``, ``applied``,
``unapplied``, ``want``, ``chunk``, ``usage``. ``docs/protocol.md`` says what each holds.
"""

from __future__ import annotations

import asyncio
import logging
import platform
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relay_kernel.agent.errors import KernelKilledError, KernelStartError
from relay_kernel.agent.guard import Guard
from relay_kernel.agent.machine import check_python
from relay_kernel.agent.mirrored import another, mirror_of, usable
from relay_kernel.agent.process import KernelProcess
from relay_kernel.agent.staging import Staging
from relay_kernel.agent.usage import measure
from relay_kernel.core.errors import RelayError
from relay_kernel.core.fence import Fence, Terms
from relay_kernel.store.chunks import Store, StoreError
from relay_kernel.store.replaced import want
from relay_kernel.store.wanted import BaseError, Prefetched, Wanted, chunk_data
from relay_kernel.wire.kernel_frames import KernelFrames, pack, unpack
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from relay_kernel.agent.launch import Launched
    from relay_kernel.envs.mirror import Mirror
    from relay_kernel.link.carrier import Carrier
    from relay_kernel.wire.message import Part

log = logging.getLogger(__name__)

#: Seconds for which the report of a capture lets a next cell pass.
AFTER_YOU = 0.005
#: Seconds for what a kernel of the user does at its end. Jupyter gives R 2.5 in all, then SIGTERM.
FAREWELL = 1.0


@dataclass(frozen=True)
class _Cell:
    number: int
    epoch: int
    #: What R has it captured for, if that is not the cell itself: R knows it by this.
    stirred: int = 0


class KernelHost:
    """Owns one kernel for one notebook.

    Args:
        carrier: this end of the way to R.
        store: where chunks go; for ``local`` it is R's own.
        folder: 0700, short, for sockets.
        far: whether there is a line between this and R, so that chunks are worth compressing.
        ahead: a kernel that was launched before it was ordered.
        mirrors: on a PC, the environments that mirror those of servers.
    """

    def __init__(
        self,
        carrier: Carrier,
        store: Store,
        folder: Path,
        *,
        far: bool = False,
        ahead: Launched | None = None,
        mirrors: Path | None = None,
    ) -> None:
        self._mirrors = mirrors
        self._waiting: asyncio.Task[None] | None = None
        self._ahead = ahead
        self.carrier = carrier
        self.store = store
        self.folder = folder
        self._kernel: KernelProcess | None = None
        self.guard = Guard(Fence(), self._on_lease_end, self._on_lease_renewed)
        self._fence = self.guard.fence
        #: Orders that came while the lease was over.
        self._late: list[Message] = []
        self._cells: dict[str, _Cell] = {}
        self._captured: tuple[_Cell, KernelFrames] | None = None
        #: The last cell whose capture came: what is captured on order is not older.
        self._last = _Cell(0, 0)
        self._captures: dict[str, _Cell] = {}
        self._applies: dict[str, Staging] = {}
        self._staging: Staging | None = None
        #: After an error the kernel drops execute_requests for a moment (stop_on_error). What came
        #: too early waits here until its next answer shows that the moment is over.
        self._held: list[KernelFrames] | None = None
        self._wanted = Prefetched(store, carrier.flush) if far else Wanted(store)
        self._before: frozenset[str] = frozenset()
        self._now: frozenset[str] = frozenset()
        #: The manifest that they are of.
        self._manifest = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._orders: dict[str, Callable[[Message], None]] = {
            "start": self._on_start,
            "frames": self._on_frames,
            "interrupt": self._on_interrupt,
            "warm": self._on_warm,
            "apply": self._on_apply,
            "capture": self._on_capture,
            "want": self._on_want,
            "chunk": self._on_chunk,
            "finish": lambda message: self._spawn(self._finish()),
            "usage": lambda message: self._spawn(self._measure()),
        }
        carrier.bulk_source = self._wanted.next

    # ------------------------------------------------------------------ orders

    def handle(self, message: Message) -> None:
        """Carry out one order. A bad order is logged; it never breaks the session.

        An order may have lain in a socket while this process or its machine stood still, and R may
        have given the role away since: without a lease, it waits until R is heard again.
        """
        if self.guard.check() and not self._late:
            self._carry_out(message)
        else:
            self._late.append(message)

    def _carry_out(self, message: Message) -> None:
        order = self._orders.get(message.kind)
        if order is None:
            log.warning("unknown order %r ignored", message.kind)
            return
        try:
            order(message)
        except (RelayError, OSError, KeyError, TypeError, ValueError) as error:
            log.warning("order %s failed: %s", message.kind, error)

    def _on_start(self, message: Message) -> None:
        if not self._admit(message):
            return
        self._fence.terms = Terms(**(message.head.get("lease") or {}))
        self.renew(self.carrier.answered_at)
        self._wait_no_longer()
        self._spawn(self._start(message.head))

    async def _start(self, head: dict[str, Any]) -> None:
        mirror = mirror_of(self._mirrors, head)
        environment = usable(mirror)
        async with self._changing:
            await self._stop_kernel()
            kernel = KernelProcess(self.folder, self._on_kernel, self._on_own, self._on_death)
            try:
                ahead, self._ahead = self._ahead, None
                options = {
                    **(head.get("limits") or {}),
                    "place": head["place"],
                    "cells": head.get("cells"),
                }
                await kernel.start(
                    head,
                    store=self.store.root,
                    options=options,
                    ahead=ahead,
                    mirrors=self._mirrors,
                )
                check_python(kernel.info, head.get("python"))
            except KernelStartError as error:
                await kernel.stop()
                killed = isinstance(error, KernelKilledError)
                self._report("failed", reason=str(error), killed=killed)
                if mirror and not killed:
                    waiting = self._wait(mirror, environment, head, str(error))
                    self._waiting = asyncio.ensure_future(waiting)
                return
            except Exception as error:
                log.exception("kernel %s cannot be started", head["spec"])
                await kernel.stop()
                reason = f"kernel {head['spec']} cannot be started: {error}"
                self._report("failed", reason=" ".join(reason.split()))
                return
            self._kernel = kernel
            self._report("started", info=kernel.info, pid=kernel.pid, host=platform.node())

    async def _wait(
        self, mirror: Mirror, tried: Path | None, head: dict[str, Any], reason: str
    ) -> None:
        """Start the kernel that could not be, once there is another environment for it.

        R is told that it started, as of any start, and why it still cannot be if that changes:
        nobody has to ask again.
        """
        await another(mirror, tried, reason, lambda why: self._report("failed", reason=why))
        self._waiting = None
        await self._start(head)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    async def _measure(self) -> None:
        self._report("usage", **await measure())

    def _on_interrupt(self, message: Message) -> None:
        if self._kernel:
            self._spawn(self._kernel.interrupt())

    def _on_warm(self, message: Message) -> None:
        """Have the kernel load what it completes with: that takes it longer than all later ones."""
        if self._kernel:
            self._kernel.ask("complete_request", {"code": "pri", "cursor_pos": 3})

    def _on_frames(self, message: Message) -> None:
        frames = unpack(message)
        if "cell" in message.head:
            cell = _Cell(message.head["cell"], message.head["epoch"])
            if not self._admit(message):
                return
            # From here to its capture, the kernel may write to the store.
            self._cells[frames.id] = cell
            self._fence.busy = True
            self.store.writers += 1
            if self._held is not None:
                self._held.append(frames)
                return
        if self._kernel:
            self._kernel.send(frames)

    # ------------------------------------------------------------------ the lease

    def renew(self, sent: float | None) -> None:
        """R has answered what was sent to it at ``sent``."""
        if sent is not None:
            self.guard.renew(sent)

    def _admit(self, message: Message) -> bool:
        epoch = int(message.head["epoch"])
        if self._fence.admit(epoch):
            return True
        log.warning("%s of epoch %d refused: stale", message.kind, epoch)
        return False

    def _on_lease_end(self) -> None:
        if self._kernel and self._cells:
            log.warning("nothing heard of the server: the kernel stands still until it is back")
            self._kernel.stand_still()

    def _on_lease_renewed(self) -> None:
        if self._kernel:
            self._kernel.go_on()
        late, self._late = self._late, []
        for message in late:
            self._carry_out(message)

    # ------------------------------------------------------------------ what the kernel says

    def _on_kernel(self, frames: KernelFrames) -> None:
        self._report_capture()
        cell = self._cells.get(frames.parent_id) if frames.channel == "shell" else None
        if cell is None:
            self.carrier.send(pack(frames))
        elif frames.type == "relay_capture_reply":
            del self._cells[frames.parent_id]
            self._fence.busy = bool(self._cells)
            self._on_captured(cell, frames)
        else:
            self._on_reply(cell, frames)

    def _on_reply(self, cell: _Cell, frames: KernelFrames) -> None:
        status = frames.content.get("status")
        if status == "error" and self._held is None:
            self._held = []
        self.carrier.send(pack(frames, cell=cell.number, epoch=cell.epoch, status=status))

    def _on_own(self, frames: KernelFrames) -> None:
        staging = self._applies.pop(frames.parent_id, None)
        if staging is not None:
            self.store.writers -= 1
            self._on_applied(staging, frames.content)
        ordered = self._captures.pop(frames.parent_id, None)
        if ordered is not None:
            self._report_capture()
            newest = max(ordered, self._last, key=lambda cell: cell.number)
            self._captured = (replace(newest, stirred=ordered.stirred), frames)
            self._report_capture()

    def _on_captured(self, cell: _Cell, frames: KernelFrames) -> None:
        self._last = cell
        held, self._held = self._held or [], None
        for waiting in held:
            if self._kernel:
                self._kernel.send(waiting)
        # The next cell may be on its way here: it goes first, since nobody waits for this.
        self._captured = (cell, frames)
        asyncio.get_running_loop().call_later(AFTER_YOU, self._report_capture)

    def _report_capture(self) -> None:
        """Report the last capture, if that is not done; it precedes what the kernel says next."""
        if self._captured is None:
            return
        (cell, frames), self._captured = self._captured, None
        self.store.writers -= 1
        content = frames.content
        about = {"cell": cell.number, "epoch": cell.epoch}
        if cell.stirred:
            about["stirred"] = cell.stirred
        if content.get("status") != "ok":
            # It may have written a part of it.
            self.store.untidy = True
            reason = content.get("reason", "the kernel did not say why")
            self._report("uncaptured", **about, reason=reason)
            return
        chunks = content["chunks"]
        self._keep(chunks, frames.body[4])
        head = {**about, "chunks": chunks, "seconds": content["seconds"]}
        head["left"] = content.get("left", {})
        head["parked"] = content.get("parked", {})
        self.carrier.send(Message("captured", head, (frames.body[4],)))

    def _keep(self, keys: list[str], manifest: Part) -> None:
        """Keep the chunks of a new state, and of the one before: R may still be fetching those."""
        self._before, self._now = self._now, frozenset(keys)
        self._manifest = bytes(manifest)
        self.store.keep("host", self._before | self._now)

    def _on_death(self, reason: str) -> None:
        self._report_capture()
        kernel = self._kernel
        self._forget_kernel()
        self._report("died", reason=reason)
        if kernel:
            self._spawn(kernel.stop())

    # ------------------------------------------------------------------ state coming in

    def _on_apply(self, message: Message) -> None:
        missing = self.store.missing(message.head["chunks"])
        self._stage(Staging(message, set(missing)))

    def _stage(self, staging: Staging) -> None:
        self._staging = staging
        self.store.keep("staging", staging.order.head["chunks"])
        if staging.missing:
            manifest = bytes(staging.order.parts[0])
            self.carrier.send(want(sorted(staging.missing), manifest, self._manifest, self._now))
        else:
            self._apply_staged()

    def _on_chunk(self, message: Message) -> None:
        key, gone = message.head["key"], bool(message.head.get("lost"))
        try:
            if "error" in message.head and not gone:
                raise StoreError(message.head["error"])
            if not gone:
                self.store.put(key, chunk_data(message, self.store))
        except BaseError:
            self._report("want", keys=[key])
            return
        except StoreError as error:
            self._unapplied(str(error))
            return
        except OSError as error:
            self._unapplied(f"the disk refused: {error.strerror or error}; see {self.store.root}")
            return
        if self._staging and self._staging.came(key, gone=gone):
            self._apply_staged()

    def _apply_staged(self) -> None:
        staging = self._staging
        if staging is None:
            return
        if self._kernel is None:
            self._unapplied("there is no kernel to take it")
            return
        self._staging = None
        self._keep(staging.order.head["chunks"], staging.order.parts[0])
        self.store.keep("staging", ())
        self.store.writers += 1
        content = {"final": staging.final}
        order = self._kernel.ask("relay_apply_request", content, *staging.order.parts)
        self._applies[order] = staging

    def _unapplied(self, reason: str) -> None:
        if self._staging:
            number = self._staging.cell
            self._staging = None
            self._report("unapplied", cell=number, reason=reason)

    def _on_applied(self, staging: Staging, content: dict[str, Any]) -> None:
        match content.get("status"):
            case "ok":
                parked = content.get("parked", {})
                self._report(
                    "applied", cell=staging.cell, problems=content["problems"], parked=parked
                )
            case "damaged":
                log.warning("chunks are damaged here, and are asked for again: %s", content["keys"])
                self.store.drop(content["keys"])
                staging.again(content["keys"])
                self._stage(staging)
            case _:
                reason = content.get("reason", "unknown")
                self._report("unapplied", cell=staging.cell, reason=reason)

    # ------------------------------------------------------------------ state going out

    def _on_capture(self, message: Message) -> None:
        """Capture once more, behind what the kernel is at; R lacks something of the last one."""
        if self._kernel and self._admit(message):
            self.store.writers += 1
            stirred = int(message.head.get("stirred", 0))
            ordered = _Cell(message.head["cell"], message.head["epoch"], stirred)
            content = {"distrust": bool(message.head["distrust"])}
            self._captures[self._kernel.ask("relay_capture_request", content)] = ordered

    def _on_want(self, message: Message) -> None:
        self._wanted.ask(message.head["keys"], message.head.get("of", ()))
        self.carrier.flush()

    # ------------------------------------------------------------------ end

    def _forget_kernel(self) -> None:
        open_ = len(self._cells) + len(self._applies) + len(self._captures) + bool(self._captured)
        self.store.writers -= open_
        # A kernel that is killed while it writes leaves pieces.
        self.store.untidy = True
        self._captures.clear()
        self._captured, self._last = None, _Cell(0, 0)
        self._kernel = None
        self._held = None
        self._staging = None
        self._cells.clear()
        self._fence.busy = False
        self._applies.clear()

    async def _finish(self) -> None:
        """The user ends the notebook, whose variables are in this kernel: let it end by itself."""
        async with self._changing:
            await self._stop_kernel(patience=FAREWELL)
        self._report("finished")

    async def _stop_kernel(self, *, patience: float = 0.0) -> None:
        kernel = self._kernel
        self._forget_kernel()
        if kernel:
            await kernel.stop(patience=patience)

    def part(self, reason: str) -> None:
        """Say goodbye. As soon as R hears it, it runs the cell elsewhere: here it stands still."""
        if self._kernel:
            self._kernel.stand_still()
        self.carrier.part(reason)

    async def close(self) -> None:
        """Stop the kernel; the notebook wants no more of this target."""
        self.guard.stop()
        self._wait_no_longer()
        async with self._changing:
            if self._ahead:
                await self._ahead.manager.shutdown_kernel(now=True)
            await self._stop_kernel()

    def _report(self, kind: str, **head: Any) -> None:
        self.carrier.send(Message(kind, head))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
