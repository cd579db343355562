"""``relay gateway NAME``: all that the key of a PC that dials in can do on the server.

sshd starts one for each channel that the PC opens, whatever command the PC asks for: the key's line
in ``authorized_keys`` says so. What the PC asked for is read here as one of two words.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING

from relay_kernel.core.errors import RelayError
from relay_kernel.hub.client import START_TIMEOUT, reach_hub
from relay_kernel.link.stdio import join_stdio

if TYPE_CHECKING:
    import socket

    from relay_kernel.settings.paths import Places

#: What a PC may ask for: its line to the hub, or a stream that the hub wants from it.
WISH = re.compile(r"relay-join (?:line|stream [0-9a-f]{16})")


def run_gateway(places: Places, name: str, wish: str) -> int:
    """Join stdin and stdout to the hub, starting it where there is none.

    Args:
        places: Of this user.
        name: The target, from the key's line: not for the PC to choose.
        wish: The command that the PC asked for; nobody but its key's owner vouches for it.

    Returns:
        An exit code; an error is one line on stderr, which ``relay join`` shows.
    """
    if not WISH.fullmatch(wish):
        print("this key opens relay's gateway and nothing else: use relay join", file=sys.stderr)
        return 1
    try:
        connection = asyncio.run(_reach_hub(places))
        connection.sendall(json.dumps({"gateway": name, "wish": wish}).encode() + b"\n")
    except (OSError, RelayError) as error:
        print(f"the hub cannot be reached: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    join_stdio(connection)
    return 0


async def _reach_hub(places: Places) -> socket.socket:
    """A plain socket to the hub; starts it where none runs."""
    places.make()
    try:
        async with asyncio.timeout(START_TIMEOUT):
            _, writer = await reach_hub(places)
    except TimeoutError as error:
        raise RelayError(f"it does not start: look into {places.hub_log}") from error
    connection: socket.socket = writer.get_extra_info("socket").dup()
    writer.transport.abort()
    connection.setblocking(True)
    return connection
