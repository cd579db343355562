"""How long a small message waits behind a large state, on a real line, over SSH, to a real agent.

    python -m tests.net.push [--megabytes 1000] [--mbit 20] [--ms 20] [--fill] [--tcp cubic]

pushes the state from the PC to the server (``--fill``: the other way) and says what was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel import __version__
from relay_kernel.hub.client import open_stream
from relay_kernel.link.clock import now
from relay_kernel.link.pump import Pump
from relay_kernel.link.stream import SocketStream
from relay_kernel.settings.paths import find_places
from relay_kernel.store.chunks import Store, digest
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import Opened, Received, Session, SessionEvent
from tests.conftest import end_hub
from tests.net.lab import Lab
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.settings.paths import Places

SOON = 30.0
CHUNK = 1 << 20
#: Seconds between one small message and the next.
PAUSE = 0.05
#: Seconds at the beginning of a push that are not counted: TCP and the windows find the line.
WARM_UP = 2.0


@dataclass
class Figures:
    """What was measured, in seconds and bytes a second."""

    waits: list[float] = field(default_factory=list)
    speed: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.waits)

    @property
    def p99(self) -> float:
        return sorted(self.waits)[round(0.99 * (len(self.waits) - 1))]

    def __str__(self) -> str:
        return (
            f"{len(self.waits)} small messages there and back: median {self.median * 1e3:.0f} ms, "
            f"p99 {self.p99 * 1e3:.0f} ms, longest {max(self.waits) * 1e3:.0f} ms; "
            f"bulk {self.speed / 1e6:.2f} MB/s"
        )


class R:
    """R's end of a session with the agent of a PC, over the hub."""

    def __init__(self, places: Places) -> None:
        hello = {
            "version": __version__,
            "session": "push",
            "notebook": "push",
            "heartbeat": 1.0,
            "keep": 60.0,
            "resume": False,
        }
        self.pump = Pump(Session(hello, 1.0), self._on_event)
        self.marks: list[float] = []
        """When each chunk came, or was taken up to be sent."""
        self.opened = False
        self._answers = 0
        self._asked = 0
        self._changed = asyncio.Event()
        self._places = places
        self._run: asyncio.Future[str]

    async def link(self) -> None:
        """Dial the PC, and greet its agent."""
        reader, writer = await open_stream(self._places, "pc")
        self._run = asyncio.ensure_future(self.pump.run(SocketStream(reader, writer)))
        await self.until(lambda: self.opened)

    async def close(self) -> None:
        """The agent may forget all of it."""
        self.pump.part("done")
        await self.pump.drain()
        self.pump.close_link()
        await self._run

    async def ask(self) -> float:
        """Give an order that is answered at once; return the seconds until its answer."""
        began = now()
        self._asked += 1
        wanted = self._asked
        # There is no kernel that could take a state, and the agent says so.
        self.pump.send(Message("apply", {"cell": self._asked, "chunks": []}, (b"{}",)))
        await self.until(lambda: self._answers >= wanted)
        return now() - began

    async def want(self, megabytes: int, store: Store) -> None:
        """Have the agent send a state that lies in ``store``."""
        keys = await asyncio.to_thread(lambda: [_put(store) for _ in range(megabytes)])
        self.pump.send(Message("want", {"keys": keys}))

    def offer(self, megabytes: int) -> None:
        """Send the agent a state."""

        def take_up() -> Message | None:
            if len(self.marks) == megabytes:
                return None
            self.marks.append(now())
            self._changed.set()
            data = os.urandom(CHUNK)
            return Message("chunk", {"key": digest(data)}, (data,))

        self.pump.bulk_source = take_up
        self.pump.flush()

    async def until(self, holds: Callable[[], bool], within: float = SOON) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(within):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def _on_event(self, event: SessionEvent) -> None:
        if isinstance(event, Opened):
            self.opened = True
        elif isinstance(event, Received):
            if event.message.kind == "unapplied":
                self._answers += 1
            elif event.message.kind == "chunk":
                assert event.message.parts, event.message.head
                self.marks.append(now())
        self._changed.set()


async def push(lab: Lab, folder: Path, megabytes: int, *, fill: bool = False) -> Figures:
    """Push a state of random bytes over the line as it is.

    Args:
        lab: its machines and its line.
        folder: for the keys of the PC's sshd.
        megabytes: size of the state.
        fill: from the server to the PC, as when a PC has come back; else the other way, as after
            a cell.
    """
    with lab.pc.here():
        sshd = Sshd(folder, host=lab.pc.address).start()
    try:
        with lab.server.here():
            places = find_places().make()
            sshd.pair(places, python=sys.executable)
            r = R(places)
            await r.link()
            try:
                # Hub and agent are warm before anything is measured.
                await r.ask()
                return await _measure(r, sshd.relay_home, megabytes, fill)
            finally:
                await r.close()
                end_hub(places)
    finally:
        sshd.stop()


async def _measure(r: R, home: Path, megabytes: int, fill: bool) -> Figures:
    if fill:
        r.offer(megabytes)
    else:
        await r.want(megabytes, Store(home / "state" / "store" / "push"))
    began = now()
    await r.until(
        lambda: bool(r.marks) and r.marks[-1] > began + WARM_UP, within=2 * WARM_UP + SOON
    )
    first = len(r.marks)
    if first == megabytes:
        sys.exit(f"{megabytes} MB were over before the line was warm: push more of them")
    figures = Figures()
    while len(r.marks) < megabytes:
        figures.waits.append(await r.ask())
        await asyncio.sleep(PAUSE)
    figures.speed = (megabytes - first) * CHUNK / (r.marks[-1] - r.marks[first - 1])
    return figures


def _put(store: Store) -> str:
    data = os.urandom(CHUNK)
    key = digest(data)
    store.put(key, data)
    return key


def main() -> None:
    """Measure once and say so."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--mbit", type=float, default=20.0)
    parser.add_argument("--ms", type=float, default=20.0, help="round trip of the empty line")
    parser.add_argument("--tcp", default="cubic", help="congestion control")
    parser.add_argument("--fill", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, Lab(options.tcp) as lab:
        os.environ["RELAY_HOME"] = home + "/server"
        lab.line.delay, lab.line.rate = options.ms / 2000, options.mbit * 1e6 / 8
        print(asyncio.run(push(lab, Path(home) / "pc", options.megabytes, fill=options.fill)))


if __name__ == "__main__":
    main()
