"""The hub of these tests: a real process, found and started as a kernel would."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from relay_kernel.hub.status import read_status
from tests.processes import wait_ended
from tests.sshd import echo_python

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.sshd import Sshd


class HubProcess:
    """The hub that serves ``places``, whoever started it."""

    def __init__(self, places: Places) -> None:
        self.places = places

    @property
    def pid(self) -> int:
        status = read_status(self.places)
        assert status is not None, "no hub runs"
        return int(status["pid"])

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it, and wait for that."""
        process = psutil.Process(self.pid)
        os.kill(process.pid, number)
        wait_ended(process, within=10)

    async def phase(self, phase: str, name: str = "pc") -> dict[str, object]:
        """The target's entry in the status file, once its phase is ``phase``."""
        async with asyncio.timeout(30):
            while True:
                status = read_status(self.places) or {"targets": {}}
                target: dict[str, object] = status["targets"].get(name, {})
                if target.get("phase") == phase:
                    return target
                await asyncio.sleep(0.01)


@pytest.fixture
def hub(places: Places) -> HubProcess:
    """Started by the first client; ended with ``places``."""
    return HubProcess(places)


@pytest.fixture
def echo(pc: Sshd, places: Places, tmp_path: Path) -> Sshd:
    """A PC that is paired, where the agent's place is taken by an echo."""
    from relay_kernel import __version__

    pc.pair(places, python=echo_python(tmp_path, __version__))
    return pc
