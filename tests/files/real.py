"""The file plane as a person has it: its process, the hub, SSH, and a PC with its own home."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psutil

from relay_kernel.hub.files_client import ask_plane
from relay_kernel.settings.paths import find_places
from tests.conftest import end_hub
from tests.files.duo import content
from tests.processes import wait_ended
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay_kernel.settings.paths import Places

#: Seconds for anything that is expected to happen.
SOON = 40.0


class Real:
    """A server's home and a PC's, and the plane between them.

    Args:
        places: of the server.
        here: the server's home.
        there: the PC's home.
    """

    def __init__(self, places: Places, here: Path, there: Path) -> None:
        self.places = places
        self.here = here / "work"
        self.there = there / "work"
        self._there = there
        self.here.mkdir(parents=True, exist_ok=True)

    def configure(self, *folders: str) -> None:
        """Set ``[files]`` in ``config.toml``."""
        with self.places.config.open("a") as file:
            file.write(f"\n[files]\nfolders = {json.dumps(folders)}\n")
            # The environments of this machine's own kernels are another matter.
            file.write('[envs]\nskip = ["*"]\n')

    async def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Ask the plane, which starts it."""
        return await ask_plane(self.places, {"do": do, **fields})

    async def linked(self) -> None:
        """Wait for the link."""
        async with asyncio.timeout(SOON):
            while not (await self.ask("status"))["targets"]["pc"]["linked"]:
                await asyncio.sleep(0.05)

    async def equal(self) -> None:
        """Wait until both folders are equal and the plane knows it."""
        async with asyncio.timeout(SOON):
            while True:
                await self.ask("wait", seconds=SOON)
                if content(self.here) == content(self.there):
                    return
                await asyncio.sleep(0.05)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(SOON):
            while not holds():
                await asyncio.sleep(0.005)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Processes of this plane whose command line has all these words."""
        homes = {str(self.places.config.parent), str(self._there / "relay")}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("RELAY_HOME") in homes
                if ours and process.pid != os.getpid() and set(words) <= set(process.cmdline()):
                    found.append(process)
        return found

    def kill(self, *words: str, number: int = signal.SIGKILL) -> None:
        """End them, and wait for that."""
        found = self.processes(*words)
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        wait_ended(*found, within=SOON)

    def close(self) -> None:
        """End everything that this has started, but the hub."""
        deadline = time.monotonic() + SOON
        while self.processes("files-plane") or self.processes("--files"):
            self.kill("files-plane")
            self.kill("--files")
            assert time.monotonic() < deadline


@contextlib.contextmanager
def served(folder: Path, pc: Sshd | None = None) -> Iterator[tuple[Real, Callable[[], object]]]:
    """The same without pytest: a server that dials a PC, and keeps ``~/work`` equal with it.

    Args:
        folder: for keys and logs.
        pc: another than the usual; started here.

    Yields:
        It, and what cuts the connections that stand.
    """
    with (
        tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True) as relay_home,
        tempfile.TemporaryDirectory(prefix="home-") as home,
        patch.dict(os.environ, {"RELAY_HOME": relay_home, "HOME": home}),
        pc or Sshd(folder / "pc") as sshd,
    ):
        places = find_places().make()
        sshd.pair(places, python=sys.executable)
        real = Real(places, Path(home), sshd.home)
        real.configure("~/work")
        try:
            yield real, sshd.kill_connections
        finally:
            real.close()
            end_hub(places)
