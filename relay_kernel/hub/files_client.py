"""How the others on the server ask the file plane; starts it where it is not there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from relay_kernel import __version__
from relay_kernel.core.errors import RelayError
from relay_kernel.hub.client import START_TIMEOUT, reach
from relay_kernel.hub.start import FILES

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

#: Seconds for an answer that nothing has to be waited for.
ANSWER_TIMEOUT = 30.0
#: Bytes of the longest answer.
LONGEST = 64 << 20


async def ask_plane(places: Places, wish: dict[str, Any], *, start: bool = True) -> dict[str, Any]:
    """Ask the file plane for one thing.

    Args:
        places: Of this user; the folders exist.
        wish: See :class:`relay_kernel.files.wishes.Wishes`.
        start: Start the plane where none runs.

    Returns:
        Its answer.

    Raises:
        RelayError: It refused, does not answer, or cannot be started; one line says why.
    """
    seconds = wish.get("seconds", 0.0)
    line = json.dumps({**wish, "version": __version__}).encode() + b"\n"
    try:
        async with asyncio.timeout(START_TIMEOUT) as limit:
            while True:
                if not start and not places.files_socket.exists():
                    raise RelayError("the file plane does not run")
                reader, writer = await reach(places, FILES)
                limit.reschedule(asyncio.get_running_loop().time() + seconds + ANSWER_TIMEOUT)
                try:
                    answer = await _ask(reader, writer, line)
                finally:
                    writer.transport.abort()
                # One that was just ending says nothing, one of another version makes way.
                if answer and not answer.get("outdated"):
                    break
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise RelayError(
            f"the file plane does not answer: look into {places.files_log}, or end it and try again"
        ) from error
    if "error" in answer:
        raise RelayError(str(answer["error"]))
    return answer


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes
) -> dict[str, Any]:
    """The answer; empty if the plane ended without one."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        writer.write(line)
        await writer.drain()
        while data := await reader.read(LONGEST):
            answer += data
            if answer.endswith(b"\n"):
                break
    if not answer.endswith(b"\n"):
        return {}
    found: dict[str, Any] = json.loads(answer)
    return found
