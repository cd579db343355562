"""``relay agent --files``: the PC's end of the file plane."""

from __future__ import annotations

import asyncio
import logging
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.agent.identity import boot_id, introduction
from relay_kernel.agent.plane_end import Kind, run_end
from relay_kernel.files.end import End
from relay_kernel.link.pump import Pump
from relay_kernel.wire.session import Parted, Received, Session, SessionEvent

if TYPE_CHECKING:
    from relay_kernel.link.stream import Stream
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds for an older end to make way: what it is writing is let finish.
MAKE_WAY = 20.0


def run_files(places: Places) -> int:
    """See :func:`relay_kernel.agent.plane_end.run_end`."""
    kind = Kind(
        *("end of the file plane", "--files", places.files_end_lock, places.files_log, MAKE_WAY)
    )
    return run_end(places, kind, partial(_serve, places))


async def _serve(places: Places, stream: Stream, hello: dict[str, Any]) -> None:
    def on_event(event: SessionEvent) -> None:
        if isinstance(event, Received):
            end.line.handle(event.message)
        elif isinstance(event, Parted):
            end.line.cut(f"the server said goodbye: {event.fields.get('reason')}")

    session = Session({**introduction(), "session": "files"}, float(hello["heartbeat"]))
    pump = Pump(session, on_event)
    end = End(pump, Path.home(), places.files, boot_id())

    def shut_down() -> None:
        end.goodbye()
        pump.part("the machine is shutting down")
        end.line.cut("the machine is shutting down")

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, shut_down)
    loop.add_signal_handler(signal.SIGHUP, end.line.cut, "a newer end takes its place")
    reason = await pump.run_until(stream, end.line.closed, hello=hello)
    log.info("the link has ended: %s", end.line.reason or reason)
    await end.close(reason)
