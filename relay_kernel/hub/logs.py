"""How a PC is asked what its logs say, over the link that stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from relay_kernel.hub.client import open_stream
from relay_kernel.link.errors import DialError
from relay_kernel.settings.logs import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from relay_kernel.settings.paths import Places


async def read_logs(
    places: Places, target: str, count: int, *, follow: bool
) -> AsyncGenerator[list[Entry]]:
    """The last lines of a PC's logs, and then those that come.

    Args:
        places: Of this user; the folders exist.
        target: As in ``config.toml``.
        count: How many lines that are there already.
        follow: Go on until the link ends.

    Raises:
        DialError: The PC is not reached, or what came are no lines of a log.
    """
    reader, writer = await open_stream(places, target, plane="logs")
    try:
        writer.write(json.dumps({"last": count, "follow": follow}).encode() + b"\n")
        await writer.drain()
        while line := await reader.readline():
            yield _entries(line, target)
    except (OSError, ValueError) as error:
        raise DialError(f"the link to {target} was lost: {error}") from error
    finally:
        writer.transport.abort()


def _entries(line: bytes, target: str) -> list[Entry]:
    try:
        return msgspec.json.decode(line, type=list[Entry])
    except msgspec.DecodeError as error:
        raise DialError(f"{target} sent no lines of a log: {line[:60]!r}") from error
