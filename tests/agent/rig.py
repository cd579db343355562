"""R's side of a session with an agent, played by the test; agent and kernel are real."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from jupyter_client.session import Session as Jupyter

from relay_kernel.link.pump import Pump
from relay_kernel.store.chunks import Store
from relay_kernel.store.replaced import want
from relay_kernel.store.wanted import Prefetched, chunk_data
from relay_kernel.wire.kernel_frames import KernelFrames, pack, split, unpack
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import Received, Session, SessionEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay_kernel.link.stream import Stream

#: Seconds for anything that is expected to happen.
SOON = 20.0
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
#: Fields of a ``start`` that most tests want.
START = {
    "spec": "python3",
    "cwd": "",
    "env": {},
    "epoch": 1,
    "python": PYTHON,
    "place": "here",
}


class Owner:
    """What R is to an agent: gives orders, takes reports, keeps chunks."""

    def __init__(self, folder: Path, hello: dict[str, Any] | None = None) -> None:
        self.store = Store(folder)
        self.events: list[SessionEvent] = []
        self.reports: list[Message] = []
        self.pump = Pump(Session(hello or {"session": "s"}), self._on_event)
        self._wanted = Prefetched(self.store, lambda: self.pump.flush())
        self.pump.bulk_source = self._wanted.next
        #: The last state that came: its manifest and the keys of its chunks.
        self._fetched: tuple[bytes, list[str]] = b"", []
        self._changed = asyncio.Event()
        self._jupyter = Jupyter(key=b"the front end's own")
        self._run: asyncio.Future[str] | None = None

    # ------------------------------------------------------------------ links

    def link(self, stream: Stream) -> None:
        """Speak over ``stream`` from now on."""
        self._run = asyncio.ensure_future(self.pump.run(stream))

    async def unlink(self) -> None:
        """Cut the present link."""
        self.pump.close_link()
        await self.linked_until()

    async def linked_until(self) -> str:
        """Wait for the end of the present link; return its reason."""
        assert self._run
        return await asyncio.wait_for(asyncio.shield(self._run), SOON)

    def _on_event(self, event: SessionEvent) -> None:
        self.events.append(event)
        if isinstance(event, Received):
            if event.message.kind == "want":
                asked = event.message.head
                self._wanted.ask(asked["keys"], asked.get("of", ()))
                self.pump.flush()
            elif event.message.kind == "chunk" and event.message.parts:
                self.store.put(event.message.head["key"], chunk_data(event.message, self.store))
            self.reports.append(event.message)
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so; asked after each event."""
        async with asyncio.timeout(SOON):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def count(self, event: type[SessionEvent]) -> int:
        """How many events of this kind came."""
        return sum(isinstance(e, event) for e in self.events)

    async def sees(self, event: type[SessionEvent]) -> SessionEvent:
        """Wait for an event; return the last of its kind."""
        await self.until(lambda: self.count(event) > 0)
        return [e for e in self.events if isinstance(e, event)][-1]

    # ------------------------------------------------------------------ orders and reports

    def order(self, kind: str, *parts: bytes, **head: Any) -> None:
        """Give an order."""
        self.pump.send(Message(kind, head, parts))

    async def report(self, *kinds: str) -> Message:
        """The next report of one of these kinds; what came before it is forgotten."""
        await self.until(lambda: any(report.kind in kinds for report in self.reports))
        at = next(i for i, report in enumerate(self.reports) if report.kind in kinds)
        found = self.reports[at]
        del self.reports[: at + 1]
        return found

    async def start(self, **head: Any) -> Message:
        """Start a kernel; return what became of that."""
        self.order("start", **{**START, **head})
        return await self.report("started", "failed")

    def request(self, msg_type: str, content: dict[str, Any], **about: Any) -> str:
        """Send the kernel a request as a front end's; return its id."""
        message = self._jupyter.msg(msg_type, content)
        frames, _ = split("shell", self._jupyter.serialize(message, ident=b"front end"))
        self.pump.send(pack(frames, **about))
        return frames.id

    def execute(self, code: str, cell: int, epoch: int = 1) -> str:
        """Send a cell; return its message id."""
        return self.request("execute_request", {"code": code}, cell=cell, epoch=epoch)

    async def answer(self, id_: str) -> tuple[KernelFrames, dict[str, Any]]:
        """The reply to a request, and what the agent says about it."""
        while True:
            report = await self.report("frames")
            frames = unpack(report)
            if frames.parent_id == id_ and frames.channel == "shell":
                return frames, report.head

    async def run(self, code: str, cell: int, epoch: int = 1) -> tuple[KernelFrames, Message]:
        """Run a cell; return its reply, and the report of its capture."""
        reply, _ = await self.answer(self.execute(code, cell, epoch))
        return reply, await self.report("captured", "uncaptured")

    async def value(self, expression: str) -> str:
        """What an expression is in the kernel, without this being a cell."""
        content = {"code": "", "silent": True, "user_expressions": {"it": expression}}
        reply, _ = await self.answer(self.request("execute_request", content))
        found = reply.content["user_expressions"]["it"]
        return str(found.get("data", found).get("text/plain", found.get("evalue")))

    async def fetch(self, captured: Message) -> None:
        """Bring the chunks of a capture to this side."""
        keys, manifest = captured.head["chunks"], bytes(captured.parts[0])
        self.pump.send(want(self.store.missing(keys), manifest, *self._fetched))
        await self.until(lambda: not self.store.missing(keys))
        self._fetched = manifest, keys

    def apply(self, captured: Message, cell: int) -> None:
        """Give a captured state to the kernel."""
        parts = [bytes(part) for part in captured.parts]
        self.order("apply", *parts, cell=cell, chunks=captured.head["chunks"])
