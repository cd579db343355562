"""The builder at a PC, as one that dials in starts it; and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from relay_kernel import __version__
from relay_kernel.agent.attach import open_envs
from relay_kernel.core.errors import RelayError
from relay_kernel.envs.line import Line
from relay_kernel.link.pump import Pump
from relay_kernel.link.stream import SocketStream
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import Opened, Received, Refused, Session, SessionEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

CONTENT = b"x = 1\n"
DIGEST = "6a0c1d9d3ad0d9d6e2b7d8b2a6b8a0d9c1f3e5a7b9c1d3e5f7a9b1c3d5e7f901"


@asynccontextmanager
async def builder(places: Places, **hello: Any) -> AsyncIterator[tuple[Line, list[str]]]:
    """A line to a new builder; what it refuses with, and what it tells, is listed."""
    said: list[str] = []
    opened = asyncio.Event()

    def on_event(event: SessionEvent) -> None:
        if isinstance(event, Received):
            line.handle(event.message)
        elif isinstance(event, Opened):
            opened.set()
        elif isinstance(event, Refused):
            said.append(str(event.fields["why"]))
            opened.set()

    async def answer(message: Message) -> Message:
        return Message("answer", {}, (CONTENT,))

    greeting = {"version": __version__, "server": "here", "target": "pc", "session": "abc", **hello}
    pump = Pump(Session({**greeting, "heartbeat": 1.0}, 1.0), on_event)
    line = Line(pump, answer, lambda message: said.append(message.kind))
    async with open_envs(places) as streams:
        running = asyncio.ensure_future(pump.run_until(SocketStream(*streams), line.closed))
        await asyncio.wait_for(opened.wait(), 20)
        yield line, said
        line.fail("over")
        await running
    await reaped()


def builders() -> list[psutil.Process]:
    """Those of this process that run, and not what multiprocessing has started in it."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if not any("resource_tracker" in word for word in child.cmdline()):
                found.append(child)
    return found


async def reaped() -> None:
    """Wait until no builder runs any more, and asyncio knows that."""
    async with asyncio.timeout(20):
        while builders() or any("waitpid-" in thread.name for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_builder_answers_over_a_socket(places: Places) -> None:
    async with builder(places) as (line, _):
        said = (await line.ask("look", names=["mine"])).head
    assert said["envs"] == {"mine": None}
    assert said["root"] == str(places.envs / "here")
    assert said["markers"]["os_name"] == "posix"


async def test_another_version_is_refused(places: Places) -> None:
    async with builder(places, version="0.0.1") as (_, said):
        assert said == [f"the PC has relay-kernel {__version__}, and the server 0.0.1"]


@pytest.mark.parametrize(
    ("kind", "head", "why"),
    [
        ("look", {"names": ["../x"]}, "is no name of a kernelspec"),
        ("refresh", {"name": "mine", "package": "../x", "digest": "", "files": {}}, "was refused"),
        ("refresh", {"name": "a", "package": "b", "digest": "", "files": {"../x": []}}, "refused"),
        (
            *(
                "refresh",
                {"name": "a", "package": "b", "digest": ""} | {"files": {"x": ["zz", 1, 1, 1]}},
            ),
            "names no file",
        ),
        ("build", {"name": "mine", "spec": {}, "blueprint": {}}, "cannot be read"),
        ("mend", {}, "nobody here answers a mend"),
    ],
)
async def test_what_no_server_asks_is_refused_in_a_line(
    places: Places, kind: str, head: dict[str, Any], why: str
) -> None:
    async with builder(places) as (line, _):
        with pytest.raises(RelayError, match=why) as caught:
            await line.ask(kind, **head)
        assert "\n" not in str(caught.value)
        assert not line.closed.is_set()


async def test_a_file_that_is_not_what_was_announced_is_not_taken(
    places: Places, tmp_path: Path
) -> None:
    files = {"inner/x.py": [DIGEST, len(CONTENT), 0o644, 1]}
    async with builder(places) as (line, _):
        with pytest.raises(RelayError, match=r"x\.py has changed while it was brought over"):
            await line.ask("refresh", name="mine", package="demo", digest="d", files=files)
    assert not (places.envs / "here/mine/sources/demo/inner/x.py").exists()
