"""``relay agent --envs``: the PC's builder of environments, on standard input and output.

It lives as long as its link. Only one runs for a user: a newer one takes the place of an older,
which may not know yet that its link is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import signal
import sys
import time
from typing import IO, TYPE_CHECKING, Any

import psutil

from relay_kernel.agent.greeting import read_greeting
from relay_kernel.agent.identity import introduction
from relay_kernel.envs.end import End
from relay_kernel.link.pump import Pump
from relay_kernel.link.stdio import open_stdio
from relay_kernel.wire import frames, notes
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Type
from relay_kernel.wire.session import Parted, Received, Session, SessionEvent

if TYPE_CHECKING:
    from relay_kernel.link.stream import Stream
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds for the server to greet.
GREETING = 10.0
#: Seconds for an older builder to make way; then it is killed.
MAKE_WAY = 2.0
#: The programs of the person come first, and uv does as its parent.
NICE = 10

_POLL = 0.02
_OPTION = "--envs"
#: A server and a target have names that can be those of folders.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def run_envs(places: Places) -> int:
    """Serve until the link ends; return the exit code. An error is one line on stderr."""
    places.make()
    logging.basicConfig(
        filename=places.envs_log, level=logging.INFO, format="%(asctime)s %(message)s"
    )
    lock = _take_over(places)
    if lock is None:
        print("another builder of environments does not make way here", file=sys.stderr)
        return 1
    with lock:
        _stand_back()
        asyncio.run(_main(places))
    return 0


def _take_over(places: Places) -> IO[str] | None:
    """Take the lock, from an older builder if there is one."""
    file = places.envs_end_lock.open("a+")
    deadline = time.monotonic() + MAKE_WAY
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
            deadline = time.monotonic() + (1.0 if late else MAKE_WAY)
            file.seek(0)
            _signal(file.read(), asked)
        time.sleep(_POLL)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _signal(holder: str, number: int) -> None:
    """Tell the holder of the lock, if it is what it should be."""
    with contextlib.suppress(ValueError, OSError, psutil.Error):
        process = psutil.Process(int(holder))
        if _OPTION in process.cmdline():
            process.send_signal(number)


def _stand_back() -> None:
    """Let other programs go first, where the system can do that."""
    process = psutil.Process()
    with contextlib.suppress(OSError, psutil.Error):
        process.nice(NICE)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, psutil.Error):
            process.ionice(psutil.IOPRIO_CLASS_BE, 7)


async def _main(places: Places) -> None:
    stream = open_stdio()
    try:
        async with asyncio.timeout(GREETING):
            hello = await read_greeting(stream)
        notes.require(hello, ("version", "heartbeat", "server", "target"))
        for key in ("server", "target"):
            if not _NAME.fullmatch(str(hello[key])):
                raise ProtocolError(f"the {key} has a name that is none")
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
    await _serve(places, stream, hello)


async def _serve(places: Places, stream: Stream, hello: dict[str, Any]) -> None:
    def on_event(event: SessionEvent) -> None:
        if isinstance(event, Received):
            end.line.handle(event.message)
        elif isinstance(event, Parted):
            end.line.fail(f"the server said goodbye: {event.fields.get('reason')}")

    session = Session({**introduction(), "session": "envs"}, float(hello["heartbeat"]))
    pump = Pump(session, on_event)
    end = End(pump, places.envs / str(hello["server"]), str(hello["target"]))
    loop = asyncio.get_running_loop()
    for number, why in (
        (signal.SIGTERM, "the machine is shutting down"),
        (signal.SIGHUP, "a newer builder takes its place"),
    ):
        loop.add_signal_handler(number, end.line.fail, why)
    reason = await pump.run_until(stream, end.line.closed, hello=hello)
    log.info("the link has ended: %s", end.line.reason or reason)
    await end.close(reason)
