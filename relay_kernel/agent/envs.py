"""``relay agent --envs``: the PC's builder of environments."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from relay_kernel.agent.identity import introduction
from relay_kernel.agent.plane_end import Kind, run_end
from relay_kernel.envs.end import End
from relay_kernel.link.pump import Pump
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.session import Parted, Received, Session, SessionEvent

if TYPE_CHECKING:
    from relay_kernel.link.stream import Stream
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds for an older builder to make way.
MAKE_WAY = 2.0
#: A server and a target have names that can be those of folders.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def run_envs(places: Places) -> int:
    """See :func:`relay_kernel.agent.plane_end.run_end`."""
    kind = Kind(
        *("builder of environments", "--envs", places.envs_end_lock, places.envs_log, MAKE_WAY),
        greeting=("server", "target"),
    )
    return run_end(places, kind, partial(_serve, places))


async def _serve(places: Places, stream: Stream, hello: dict[str, Any]) -> None:
    for key in ("server", "target"):
        if not _NAME.fullmatch(str(hello[key])):
            raise ProtocolError(f"the {key} has a name that is none")

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
