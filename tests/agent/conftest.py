"""An agent's kernel host, and R's side of the session with it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay_kernel.agent.host import KernelHost
from relay_kernel.link.pump import Pump
from relay_kernel.store.chunks import Store
from relay_kernel.wire.session import Received, Session, SessionEvent
from tests.agent.rig import Owner
from tests.link.memory import MemoryStream, memory_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short, for sockets."""
    with tempfile.TemporaryDirectory(prefix="agent-", ignore_cleanup_errors=True) as name:
        yield Path(name)


class Hosted(Owner):
    """The owner of a host within this process."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder / name / "near")
        (folder / name / "run").mkdir(mode=0o700)
        self._far = Pump(Session({"session": "s"}), self._on_far)
        store, run = Store(folder / name / "far"), folder / name / "run"
        self.host = KernelHost(self._far, store, run, far=True)
        self._far_run: asyncio.Future[str] | None = None
        self.streams: list[MemoryStream] = []

    @property
    def written(self) -> int:
        """Bytes that went over the links until now, both ways."""
        return sum(stream.written for stream in self.streams)

    def _on_far(self, event: SessionEvent) -> None:
        if isinstance(event, Received):
            self.host.handle(event.message)

    def open(self) -> None:
        """Link the two."""
        near, far = memory_pair()
        self.streams += (near, far)
        self.link(near)
        self._far_run = asyncio.ensure_future(self._far.run(far))

    async def close(self) -> None:
        """End the kernel and the link."""
        await self.host.close()
        await self.unlink()
        if self._far_run:
            await self._far_run


@pytest.fixture
async def owner(folder: Path) -> AsyncIterator[Hosted]:
    """The owner of a host that has no kernel yet."""
    owner = Hosted(folder, "a")
    owner.open()
    yield owner
    await owner.close()


@pytest.fixture
async def other(folder: Path) -> AsyncIterator[Hosted]:
    """The owner of another host."""
    owner = Hosted(folder, "b")
    owner.open()
    yield owner
    await owner.close()
