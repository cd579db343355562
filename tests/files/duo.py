"""Two real folders, and what keeps them equal, in one process and over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from relay_kernel.files.driver import Driver
from relay_kernel.files.end import End
from relay_kernel.files.folder import Folder
from relay_kernel.files.line import Line
from relay_kernel.files.pair import Pair
from relay_kernel.files.rules import Rules
from relay_kernel.link.pump import Pump
from relay_kernel.link.stream import SocketStream
from relay_kernel.wire.session import Received, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.wire.session import SessionEvent

#: Seconds for anything that is expected to happen.
SOON = 20.0
NAME = "work"


class Duo:
    """A server and a target, each with a home; :meth:`link` joins them, :meth:`cut` parts them."""

    def __init__(self, tmp_path: Path, rules: Rules | None = None) -> None:
        self.homes = {"server": tmp_path / "server", "target": tmp_path / "target"}
        self.state = tmp_path / "state"
        self.here = self.homes["server"] / NAME
        self.there = self.homes["target"] / NAME
        self.here.mkdir(parents=True, exist_ok=True)
        self.homes["target"].mkdir(exist_ok=True)
        self.state.mkdir(exist_ok=True)
        self.rules = rules or Rules()
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.boot = "boot-1"
        self._told_changed = asyncio.Event()
        self._running: list[asyncio.Task[Any]] = []
        self.end: End | None = None
        self._lines: list[Line] = []
        self._shipped = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        await self.stop()

    async def start(self) -> None:
        """The server's process begins."""
        self.driver = Driver(Folder(self.here, self.state / "here", self.rules))
        await self.driver.open()
        base = self.state / "base.sqlite"
        self.pair = Pair(NAME, "pc", self.driver, base, self.rules, self._tell)

    async def stop(self) -> None:
        """It ends in order."""
        self.pair.close()
        await self.driver.close()

    def _tell(self, word: str, fields: dict[str, Any]) -> None:
        self.told.append((word, fields))
        self._told_changed.set()

    async def tells(self, word: str) -> dict[str, Any]:
        """The fields of the next event of that kind; those before it are forgotten."""
        async with asyncio.timeout(SOON):
            while not any(said == word for said, _ in self.told):
                self._told_changed.clear()
                await self._told_changed.wait()
        at = next(i for i, (said, _) in enumerate(self.told) if said == word)
        fields = self.told[at][1]
        del self.told[: at + 1]
        return fields

    # ------------------------------------------------------------------ links

    async def link(self) -> None:
        """A link comes up; returns at once."""
        ours, theirs = socket.socketpair()
        self.line = self._run(ours, lambda pump: Line(pump))
        self._running.append(asyncio.ensure_future(self.pair.run(self.line)))

        def make(pump: Pump) -> Line:
            self.end = End(pump, self.homes["target"], self.state / "there", self.boot)
            return self.end.line

        self._run(theirs, make)

    def _run(self, sock: socket.socket, make: Callable[[Pump], Line]) -> Line:
        def on_event(event: SessionEvent) -> None:
            if isinstance(event, Received):
                line.handle(event.message)

        pump = Pump(Session({"session": "files"}, 1.0), on_event)
        line = make(pump)
        self._lines.append(line)

        async def run() -> None:
            stream = SocketStream(*await asyncio.open_unix_connection(sock=sock))
            line.cut(await pump.run_until(stream, line.closed))
            await line.close("cut")

        self._running.append(asyncio.ensure_future(run()))
        return line

    async def cut(self) -> None:
        """The link is cut."""
        if not self._running:
            return
        self.line.cut("the link was cut")
        await asyncio.wait_for(asyncio.gather(*self._running), SOON)
        self._running.clear()
        self._shipped, self._lines = self.pieces(), []
        if self.end is not None:
            await self.end.close("the link was cut")

    # ------------------------------------------------------------------ looking

    def pieces(self) -> int:
        """How many pieces of files have been handed to a link, ever, either way."""
        return self._shipped + sum(line.outgoing.shipped for line in self._lines)

    def known(self, path: bytes) -> bool:
        """Whether either end has it in its tree, as far as the server knows."""
        work = self.pair.work
        return path in self.driver.tree or (work is not None and path in work.remote.tree)

    def asked(self) -> int:
        """How often the server has asked the target anything on this link."""
        return self.line.asked

    async def equal(self) -> None:
        """Wait until both folders are equal and the pair knows it."""
        async with asyncio.timeout(SOON):
            while True:
                await self.pair.fetched(SOON)
                await self.pair.settled(SOON)
                if content(self.here) == content(self.there):
                    return
                await asyncio.sleep(0.02)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(SOON):
            while not holds():
                await asyncio.sleep(0.005)


def content(root: Path) -> dict[str, Any]:
    """What is in a folder, without what is ours: modes, and contents or where links point."""
    found: dict[str, Any] = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        if b".relay" in folders:
            folders.remove(b".relay")
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            key = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            mode = os.lstat(path).st_mode
            with contextlib.suppress(FileNotFoundError):
                if os.path.islink(path):
                    found[key] = os.readlink(path)
                elif os.path.isdir(path):
                    found[key] = oct(mode)
                else:
                    found[key] = (oct(mode), Path(os.fsdecode(path)).read_bytes())
    return found


def write(path: Path, text: str | bytes) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path
