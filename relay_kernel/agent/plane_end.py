"""What a plane's end at a PC is run in: one process on the standard streams of an SSH channel.

It lives as long as its link. Only one of a kind runs for a user: a newer one takes the place of an
older, which may not know yet that its link is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import psutil

from relay_kernel.agent.greeting import read_greeting
from relay_kernel.agent.identity import introduction
from relay_kernel.link.loop import run
from relay_kernel.link.stdio import open_stdio
from relay_kernel.wire import frames, notes
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from relay_kernel.link.stream import Stream
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds for the server to greet.
GREETING = 10.0
#: The programs of the person come first.
NICE = 10

_POLL = 0.02


@dataclass(frozen=True)
class Kind:
    """One kind of end.

    Attributes:
        name: in messages: ``end of the file plane``.
        option: of ``relay agent``, by which such a process is known.
        lock: held by the one that runs.
        log: what it has to say.
        make_way: seconds for an older one to finish what it is at; then it is killed.
        greeting: what the server says of itself, beside ``version`` and ``heartbeat``.
    """

    name: str
    option: str
    lock: Path
    log: Path
    make_way: float
    greeting: tuple[str, ...] = ()


def run_end(
    places: Places, kind: Kind, serve: Callable[[Stream, dict[str, Any]], Awaitable[None]]
) -> int:
    """Serve until the link ends; return the exit code. An error is one line on stderr.

    Args:
        places: of this user; the folders are made.
        kind: what it is.
        serve: speaks over a link to a server that has greeted; raises ``ProtocolError`` if it
            said what none would.
    """
    places.make()
    logging.basicConfig(filename=kind.log, level=logging.INFO, format="%(asctime)s %(message)s")
    lock = _take_over(kind)
    if lock is None:
        print(f"another {kind.name} does not make way here", file=sys.stderr)
        return 1
    with lock:
        _stand_back()
        run(_main(kind, serve))
    return 0


def _take_over(kind: Kind) -> IO[str] | None:
    """Take the lock, from an older end if there is one."""
    file = kind.lock.open("a+")
    deadline = time.monotonic() + kind.make_way
    asked = 0
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        late = time.monotonic() > deadline
        if late and asked == signal.SIGKILL:
            file.close()
            return None
        if late or not asked:
            asked = signal.SIGKILL if late else signal.SIGHUP
            deadline = time.monotonic() + (1.0 if late else kind.make_way)
            file.seek(0)
            _signal(file.read(), kind.option, asked)
        time.sleep(_POLL)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _signal(holder: str, option: str, number: int) -> None:
    """Tell the holder of the lock, if it is what it should be."""
    with contextlib.suppress(ValueError, OSError, psutil.Error):
        process = psutil.Process(int(holder))
        if option in process.cmdline():
            process.send_signal(number)


def _stand_back() -> None:
    """Let other programs go first, where the system can do that; children do as we do."""
    process = psutil.Process()
    with contextlib.suppress(OSError, psutil.Error):
        process.nice(NICE)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, psutil.Error):
            process.ionice(psutil.IOPRIO_CLASS_BE, 7)


async def _main(kind: Kind, serve: Callable[[Stream, dict[str, Any]], Awaitable[None]]) -> None:
    stream = open_stdio()
    try:
        async with asyncio.timeout(GREETING):
            hello = await read_greeting(stream)
        notes.require(hello, ("version", "heartbeat", *kind.greeting))
    except (ProtocolError, OSError, TimeoutError) as error:
        log.warning("a link was refused: %s", error or "no greeting")
        return
    mine = introduction()
    if hello["version"] != mine["version"]:
        why = f"the PC has relay-kernel {mine['version']}, and the server {hello['version']}"
        stream.write([frames.note(Type.REFUSE, {**mine, "why": why})])
        with contextlib.suppress(OSError):
            await stream.drain()
        return
    try:
        await serve(stream, hello)
    except ProtocolError as error:
        log.warning("a link was refused: %s", error)
