"""Beside a kernel: what ``relay_kernel.agent.host`` and ``guard`` do, in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay_kernel.core.fence import Fence, Terms
from relay_kernel.wire.message import Message
from tests.sim.kernel import Kernel

if TYPE_CHECKING:
    from tests.sim.clock import Process, Timer
    from tests.sim.history import History
    from tests.sim.pump import Pump

#: As in ``host.py``: seconds for which the report of a capture lets a next cell pass.
AFTER_YOU = 0.005
#: A timer stands still while the machine sleeps, and the lease does not: look at it so often.
LOOK = 1.0


class Host:
    """Owns one kernel for one notebook; ``chunks`` is the store, and outlives this."""

    def __init__(self, process: Process, target: str, history: History, chunks: Chunks) -> None:
        self.process = process
        self.target = target
        self.history = history
        self.chunks = chunks
        self.kernel: Kernel | None = None
        self.fence: Fence = history.parts.fence()
        self.pump: Pump
        self._cells: dict[int, int] = {}
        self._captured: dict[str, Any] | None = None
        self._staging: tuple[Message, set[str]] | None = None
        self._wanted: list[str] = []
        self.closed = False
        self._late: list[Message] = []
        self._starting = 0
        self._timer: Timer | None = None
        self._orders = {
            "start": self._on_start,
            "frames": self._on_frames,
            "interrupt": self._on_interrupt,
            "apply": self._on_apply,
            "want": self._on_want,
            "chunk": self._on_chunk,
        }

    def attach(self, pump: Pump) -> None:
        self.pump = pump
        pump.bulk_source = self.next_chunk

    def _report(self, kind: str, *parts: bytes, **head: Any) -> None:
        self.pump.send(Message(kind, head, parts))

    # ------------------------------------------------------------------ orders

    def handle(self, message: Message) -> None:
        if self.check() and not self._late:
            self._orders[message.kind](message)
        else:
            self.history.tally["late order"] += 1
            self._late.append(message)

    def _on_start(self, message: Message) -> None:
        if not self.fence.admit(message.head["epoch"]):
            return
        self.fence.terms = Terms(**(message.head["lease"] or {}))
        self.renew(self.pump.session.answered_at)
        self._starting += 1
        number = self._starting
        self.stop_kernel()
        chance, wild = self.history.chance, self.history.wildness
        fails = self.target != "local" and chance.random() < wild.bad_start
        self.process.later(chance.uniform(0.1, wild.slow_start), lambda: self._up(number, fails))

    def _up(self, number: int, fails: bool) -> None:
        if number != self._starting:
            return
        if fails:
            self.history.tally["failed start"] += 1
            self._report("failed", reason="it does not start")
            return
        self.kernel = Kernel(self.history, self.target, self._on_kernel)
        self.kernel.agent = self.process
        self._report("started", kernel=self.kernel.id)

    def _on_frames(self, message: Message) -> None:
        head = message.head
        if not self.fence.admit(head["epoch"]):
            self.history.tally["stale cell refused"] += 1
            return
        self._cells[head["cell"]] = head["epoch"]
        self.fence.busy = True
        if self.kernel:
            self.kernel.execute(head["cell"], head["epoch"])

    def _on_interrupt(self, message: Message) -> None:
        if self.kernel:
            self.kernel.interrupt()

    # ------------------------------------------------------------------ the lease

    def renew(self, sent: float | None) -> None:
        """R has answered what was sent to it at ``sent``."""
        if sent is not None:
            self.fence.renew(sent)
            self.check()

    def check(self) -> bool:
        """Close or open, as the lease says now; as ``guard.py`` does."""
        closed = self.fence.is_closed(self.process.clock.now)
        if closed != self.closed:
            self.closed = closed
            (self._on_lease_end if closed else self._on_lease_renewed)()
        deadline = self.fence.next_deadline()
        if self._timer is None and not self.closed and deadline is not None:
            remaining = deadline - self.process.clock.now
            self._timer = self.process.later(min(remaining, LOOK), self._tick)
        return not closed

    def _tick(self) -> None:
        self._timer = None
        self.check()

    def _on_lease_end(self) -> None:
        self.history.tally["lease ended"] += 1
        if self.kernel and self._cells:
            self.history.tally["lease ended on a cell"] += 1
            self.history.log(f"{self.kernel.name}: stands still, the lease has ended")
            self.kernel.stop("fence")

    def _on_lease_renewed(self) -> None:
        if self.kernel and self.kernel.is_stopped("fence"):
            self.history.tally["lease renewed after all"] += 1
            self.history.log(f"{self.kernel.name}: goes on, the lease was renewed")
            self.kernel.go_on("fence")
        late, self._late = self._late, []
        for message in late:
            self.history.tally["late order carried out"] += 1
            self._orders[message.kind](message)

    # ------------------------------------------------------------------ what the kernel says

    def _on_kernel(self, kind: str, *, kernel: int, cell: int, **fields: Any) -> None:
        if self.kernel is None or self.kernel.id != kernel:
            return
        self._report_capture()
        if kind == "captured":
            self._captured = {"cell": cell, "epoch": self._cells.pop(cell), **fields}
            self.fence.busy = bool(self._cells)
            self.process.later(AFTER_YOU, self._report_capture)
        elif kind == "applied":
            self._report("unapplied" if "reason" in fields else "applied", cell=cell, **fields)
        else:
            if kind == "reply":
                fields["epoch"] = self._cells[cell]
            self._report("frames", type=kind, kernel=kernel, cell=cell, **fields)

    def _report_capture(self) -> None:
        if self._captured is None:
            return
        fields, self._captured = self._captured, None
        if "reason" in fields:
            self._report("uncaptured", **fields)
            return
        sizes, manifest = fields.pop("chunks"), fields.pop("manifest")
        self.chunks.put(sizes)
        self._report("captured", manifest, chunks=list(sizes), **fields)

    def kernel_died(self) -> None:
        """The process has ended, and nobody asked for that."""
        self._report_capture()
        self._forget()
        self._report("died", reason="its kernel died (signal 9)")

    # ------------------------------------------------------------------ state

    def _on_apply(self, message: Message) -> None:
        missing = self.chunks.missing(message.head["chunks"])
        self._staging = (message, set(missing))
        if missing:
            self._report("want", keys=missing)
        else:
            self._apply_staged()

    def _on_chunk(self, message: Message) -> None:
        key = message.head["key"]
        if "error" in message.head:
            self._unapplied(message.head["error"])
            return
        self.chunks.put({key: len(message.parts[0])})
        if self._staging and key in self._staging[1]:
            self._staging[1].discard(key)
            if not self._staging[1]:
                self._apply_staged()

    def _apply_staged(self) -> None:
        if self._staging is None:
            return
        if self.kernel is None:
            self._unapplied("there is no kernel to take it")
            return
        message, _ = self._staging
        self._staging = None
        self.kernel.apply(message.head["cell"], bytes(message.parts[0]))

    def _unapplied(self, reason: str) -> None:
        if self._staging:
            number = self._staging[0].head["cell"]
            self._staging = None
            self._report("unapplied", cell=number, reason=reason)

    def _on_want(self, message: Message) -> None:
        self._wanted += message.head["keys"]
        self.pump.flush()

    def next_chunk(self) -> Message | None:
        return self.chunks.message(self._wanted)

    # ------------------------------------------------------------------ end

    def _forget(self) -> None:
        self._captured = self._staging = None
        self.kernel = None
        self.fence.busy = False
        self._cells.clear()

    def stop_kernel(self) -> None:
        kernel = self.kernel
        self._forget()
        if kernel:
            kernel.kill()


class Chunks:
    """A store of chunks, of which only the sizes matter."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._sizes: dict[str, int] = {}

    def put(self, sizes: dict[str, int]) -> None:
        self._sizes.update(sizes)

    def missing(self, keys: list[str]) -> list[str]:
        return [key for key in keys if key not in self._sizes]

    def lose(self, chance: float) -> None:
        """A disk that is full, or was cleaned."""
        for key in list(self._sizes):
            if self._history.chance.random() < chance:
                del self._sizes[key]

    def message(self, wanted: list[str]) -> Message | None:
        """The next of the chunks that the other end wants."""
        if not wanted:
            return None
        key = wanted.pop(0)
        if key not in self._sizes:
            self._history.tally["chunk gone"] += 1
            return Message("chunk", {"key": key, "error": f"chunk {key} is not here"})
        return Message("chunk", {"key": key}, (bytes(self._sizes[key]),))
