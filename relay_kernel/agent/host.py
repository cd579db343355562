"""The agent of one kernel: orders come in over a session, reports go out.

Orders: ``start``, ``frames``, ``interrupt``, ``warm``, ``apply``, ``want``, ``chunk``.
Reports: ``started``, ``failed``, ``died``, ``frames``, ``captured``, ``uncaptured``, ``applied``,
``unapplied``, ``want``, ``chunk``. ``docs/protocol.md`` says what each holds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.agent.guard import Guard
from relay_kernel.agent.process import KernelProcess, KernelStartError
from relay_kernel.core.errors import RelayError
from relay_kernel.core.fence import Fence, Terms
from relay_kernel.store.chunks import Store, StoreError
from relay_kernel.store.wanted import Wanted
from relay_kernel.wire.kernel_frames import KernelFrames, pack, unpack
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from relay_kernel.link.pump import Pump

log = logging.getLogger(__name__)

#: Seconds for which the report of a capture lets a next cell pass.
AFTER_YOU = 0.005


@dataclass(frozen=True)
class _Cell:
    number: int
    epoch: int


class KernelHost:
    """Owns one kernel for one notebook.

    Args:
        pump: of this end of the session with R.
        store: where chunks go; for ``local`` it is R's own.
        folder: 0700, short, for sockets.
    """

    def __init__(self, pump: Pump, store: Store, folder: Path) -> None:
        self.pump = pump
        self.store = store
        self.folder = folder
        self._kernel: KernelProcess | None = None
        self.guard = Guard(Fence(), self._on_lease_end, self._on_lease_renewed)
        self._fence = self.guard.fence
        #: Orders that came while the lease was over.
        self._late: list[Message] = []
        self._cells: dict[str, _Cell] = {}
        self._captured: tuple[_Cell, KernelFrames] | None = None
        self._applies: dict[str, int] = {}
        self._staging: tuple[Message, set[str]] | None = None
        #: After an error the kernel drops execute_requests for a moment (stop_on_error). What came
        #: too early waits here until its next answer shows that the moment is over.
        self._held: list[KernelFrames] | None = None
        self._wanted = Wanted(store)
        self._before: frozenset[str] = frozenset()
        self._now: frozenset[str] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._orders: dict[str, Callable[[Message], None]] = {
            "start": self._on_start,
            "frames": self._on_frames,
            "interrupt": self._on_interrupt,
            "warm": self._on_warm,
            "apply": self._on_apply,
            "want": self._on_want,
            "chunk": self._on_chunk,
        }
        pump.bulk_source = self._wanted.next

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
        self.renew(self.pump.session.answered_at)
        self._spawn(self._start(message.head))

    async def _start(self, head: dict[str, Any]) -> None:
        async with self._changing:
            await self._stop_kernel()
            kernel = KernelProcess(self.folder, self._on_kernel, self._on_own, self._on_death)
            try:
                await kernel.start(
                    head["spec"],
                    cwd=_place(head["cwd"]),
                    env={**os.environ, **head["env"]},
                    store=self.store.root,
                    place=head["place"],
                )
                _check_python(kernel.info, head.get("python"))
            except KernelStartError as error:
                await kernel.stop()
                self._report("failed", reason=str(error))
                return
            except Exception as error:
                log.exception("kernel %s cannot be started", head["spec"])
                await kernel.stop()
                reason = f"kernel {head['spec']} cannot be started: {error}"
                self._report("failed", reason=" ".join(reason.split()))
                return
            self._kernel = kernel
            self._report("started", info=kernel.info, pid=kernel.pid, host=platform.node())

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
            self.pump.send(pack(frames))
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
        self.pump.send(pack(frames, cell=cell.number, epoch=cell.epoch, status=status))

    def _on_own(self, frames: KernelFrames) -> None:
        number = self._applies.pop(frames.parent_id, None)
        if number is not None:
            self.store.writers -= 1
            self._on_applied(number, frames.content)

    def _on_captured(self, cell: _Cell, frames: KernelFrames) -> None:
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
        if content.get("status") != "ok":
            reason = content.get("reason", "the kernel did not say why")
            self._report("uncaptured", **about, reason=reason)
            return
        chunks = content["chunks"]
        self._keep(chunks)
        head = {**about, "chunks": chunks, "seconds": content["seconds"]}
        head["left"] = content.get("left", {})
        self.pump.send(Message("captured", head, (frames.body[4],)))

    def _keep(self, keys: list[str]) -> None:
        """Keep the chunks of a new state, and of the one before: R may still be fetching those."""
        self._before, self._now = self._now, frozenset(keys)
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
        self._staging = (message, set(missing))
        if missing:
            self._report("want", keys=missing)
        else:
            self._apply_staged()

    def _on_chunk(self, message: Message) -> None:
        key = message.head["key"]
        try:
            if "error" in message.head:
                raise StoreError(message.head["error"])
            self.store.put(key, bytes(message.parts[0]))
        except (StoreError, OSError) as error:
            self._unapplied(str(error))
            return
        if self._staging and key in self._staging[1]:
            self._staging[1].discard(key)
            if not self._staging[1]:
                self._apply_staged()

    def _apply_staged(self) -> None:
        if self._staging is None:
            return
        if self._kernel is None:
            self._unapplied("there is no kernel to take it")
            return
        message, _ = self._staging
        self._staging = None
        self._keep(message.head["chunks"])
        cell = message.head["cell"]
        self.store.writers += 1
        order = self._kernel.ask("relay_apply_request", {"cell": cell}, *message.parts)
        self._applies[order] = cell

    def _unapplied(self, reason: str) -> None:
        if self._staging:
            number = self._staging[0].head["cell"]
            self._staging = None
            self._report("unapplied", cell=number, reason=reason)

    def _on_applied(self, number: int, content: dict[str, Any]) -> None:
        if content.get("status") == "ok":
            self._report("applied", cell=number, problems=content["problems"])
        else:
            self._report("unapplied", cell=number, reason=content.get("reason", "unknown"))

    # ------------------------------------------------------------------ state going out

    def _on_want(self, message: Message) -> None:
        self._wanted.keys.extend(message.head["keys"])
        self.pump.flush()

    # ------------------------------------------------------------------ end

    def _forget_kernel(self) -> None:
        self.store.writers -= len(self._cells) + len(self._applies) + bool(self._captured)
        self._captured = None
        self._kernel = None
        self._held = None
        self._staging = None
        self._cells.clear()
        self._fence.busy = False
        self._applies.clear()

    async def _stop_kernel(self) -> None:
        kernel = self._kernel
        self._forget_kernel()
        if kernel:
            await kernel.stop()

    def part(self, reason: str) -> None:
        """Say goodbye. As soon as R hears it, it runs the cell elsewhere: here it stands still."""
        if self._kernel:
            self._kernel.stand_still()
        self.pump.part(reason)

    async def close(self) -> None:
        """Stop the kernel; the notebook wants no more of this target."""
        self.guard.stop()
        async with self._changing:
            await self._stop_kernel()

    def _report(self, kind: str, **head: Any) -> None:
        self.pump.send(Message(kind, head))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _place(cwd: str) -> str:
    """The folder at this target for a folder at the server, which is given relative to its home."""
    home = Path.home()
    path = Path(cwd) if os.path.isabs(cwd) else home / cwd
    return str(path if path.is_dir() else home)


def python_of(info: dict[str, Any]) -> str:
    """Major and minor version of the Python that a kernel runs, from its kernel_info."""
    version = str(info.get("language_info", {}).get("version", ""))
    return ".".join(version.split(".")[:2])


def _check_python(info: dict[str, Any], wanted: str | None) -> None:
    """Code objects do not cross minor versions of Python: loading one crashes the interpreter."""
    here = python_of(info)
    if wanted and here != wanted:
        raise KernelStartError(
            f"its kernel runs Python {here}, and the one on the server {wanted}: "
            f"variables cannot move between them; install Python {wanted} here"
        )
