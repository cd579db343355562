"""JSON objects, one a line, between the hub and a PC that dials in.

Both ends send a sign of life every :data:`BEAT` seconds. Nothing for :data:`SILENCE` seconds is the
end of the line: TCP itself would take a quarter of an hour to say so.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from relay_kernel.link.errors import LinkError

if TYPE_CHECKING:
    from relay_kernel.link.splice import Duplex

#: Seconds between signs of life.
BEAT = 1.0

#: Seconds without any after which the other end is gone.
SILENCE = 4.0

#: Bytes of a line. They say little.
LONGEST = 16 << 10

_CHUNK = 4096


class Lines:
    """One end of the line."""

    def __init__(self, channel: Duplex) -> None:
        self.channel = channel
        self._held = b""
        self._sending = asyncio.Lock()

    async def send(self, **fields: object) -> None:
        """Send one object.

        Raises:
            LinkError: The connection was lost.
        """
        async with self._sending:
            await self.channel.write(json.dumps(fields).encode() + b"\n")

    async def receive(self, timeout: float = SILENCE) -> dict[str, Any] | None:
        """The next object, ``None`` at the end.

        Args:
            timeout: Seconds until the other end is given up.

        Raises:
            LinkError: The connection was lost or silent, or what came is no object.
        """
        try:
            async with asyncio.timeout(timeout):
                while b"\n" not in self._held:
                    data = await self.channel.read(_CHUNK)
                    if not data:
                        return None
                    self._held += data
                    if len(self._held) > LONGEST:
                        raise LinkError("the other end sent an endless line")
        except TimeoutError as error:
            raise LinkError(f"nothing was heard for {timeout:g} s") from error
        line, _, self._held = self._held.partition(b"\n")
        return _object(line)

    async def beat(self) -> None:
        """Send signs of life until the connection is lost, or for ever.

        Raises:
            LinkError: The connection was lost.
        """
        while True:
            await self.send(alive=True)
            await asyncio.sleep(BEAT)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LinkError(f"the other end sent a line that is no JSON: {line[:60]!r}") from error
    if not isinstance(value, dict):
        raise LinkError(f"the other end sent a line that is no object: {line[:60]!r}")
    return value
