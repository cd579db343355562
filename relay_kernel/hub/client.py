"""How the others reach the hub; starts it where it is not there.

Imports no SSH: every kernel on the server loads this.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

from relay_kernel import __version__
from relay_kernel.core.errors import RelayError
from relay_kernel.hub.start import HUB, Service, start
from relay_kernel.link.errors import DialError, OutdatedError
from relay_kernel.link.peer import is_own

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

#: Seconds for a hub to start and listen.
START_TIMEOUT = 15.0

#: Seconds for the hub's answer: a dial, a login, a look around and the start of the agent, each
#: of which the hub bounds itself.
ANSWER_TIMEOUT = 45.0

#: Bytes of the longest line that a service answers.
LONGEST = 4 << 20

_POLL = 0.02

#: Seconds before a hub that ended at once is started again.
_RESTART = 2.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_stream(
    places: Places, target_name: str, *, patience: float = 0.0, plane: str = ""
) -> Streams:
    """A byte stream to the agent of ``target_name``, through the hub.

    The stream ends when the connection to the PC does; open another then. It is this caller's
    part to wait longer and longer between its attempts.

    Args:
        places: Of this user; the folders exist.
        target_name: As in ``config.toml``.
        patience: Seconds that the hub shall wait for a target that dials in and is not there. So
            the stream opens the moment it is, and not when somebody happens to ask again.
        plane: Empty for the agent, ``files`` for the end of the file plane, over an SSH connection
            of its own.

    Raises:
        OutdatedError: The hub is of another version; only for a plane.
        DialError: With one line that says what to do, and whether a redial may help.
    """
    try:
        async with asyncio.timeout(START_TIMEOUT) as limit:
            while True:
                reader, writer = await reach_hub(places)
                limit.reschedule(asyncio.get_running_loop().time() + patience + ANSWER_TIMEOUT)
                wish = {"open": target_name, "patience": patience, "version": __version__}
                wish |= {"plane": plane} if plane else {}
                if await _ask(reader, writer, wish):
                    return reader, writer
                # The hub was just ending itself; the next round starts another.
    except TimeoutError as error:
        raise DialError(
            f"the hub does not answer: look into {places.hub_log}, or end it and try again"
        ) from error


async def reach_hub(places: Places) -> Streams:
    """Connect to the hub: see :func:`reach`."""
    return await reach(places, HUB)


async def reach(places: Places, service: Service) -> Streams:
    """Connect to a service; start it where none runs, and again where that one ended.

    Tries for ever: the caller bounds it.

    Raises:
        DialError: It cannot be started, or another user serves in its place.
    """
    socket = service.socket(places)
    loop = asyncio.get_running_loop()
    start_at = loop.time()
    while True:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            reader, writer = await asyncio.open_unix_connection(socket, limit=LONGEST)
            if is_own(writer.get_extra_info("socket")):
                return reader, writer
            writer.transport.abort()
            raise DialError(f"{socket} belongs to another user", permanent=True)
        if loop.time() >= start_at:
            try:
                await asyncio.to_thread(start, places, service)
            except (RelayError, OSError) as error:
                raise DialError(
                    f"{service.name} cannot be started: {error}", permanent=True
                ) from error
            start_at = loop.time() + _RESTART
        await asyncio.sleep(_POLL)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wish: dict[str, object]
) -> bool:
    """Say what is wanted; false if the hub ended without an answer.

    Raises:
        DialError: The hub's own, passed on.
    """
    answer = b""
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(wish).encode() + b"\n")
            await writer.drain()
            answer = await reader.readline()
        if not answer.endswith(b"\n"):
            writer.transport.abort()
            return False
        said = json.loads(answer)
        if said.get("outdated"):
            raise OutdatedError(said["error"])
        if "error" in said:
            raise DialError(
                said["error"],
                permanent=said.get("permanent", False),
                waited=said.get("waited", False),
            )
    except BaseException:
        writer.transport.abort()
        raise
    return True


def start_hub(places: Places) -> None:
    """Start a hub that outlives this process: see :func:`relay_kernel.hub.start.start`."""
    start(places, HUB)
