"""How a PC is asked what it is like, over the link that stands."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from relay_kernel.hub.client import open_stream
from relay_kernel.link.errors import DialError
from relay_kernel.link.survey import SURVEY_TIMEOUT, read_survey

if TYPE_CHECKING:
    from relay_kernel.link.survey import Machine
    from relay_kernel.settings.paths import Places


async def ask_facts(places: Places, target: str, patience: float = 0.0) -> Machine:
    """Have the PC look around, through the hub.

    Args:
        places: Of this user; the folders exist.
        target: As in ``config.toml``.
        patience: Seconds to wait for a target that dials in and is not there.

    Raises:
        DialError: With one line that says what to do.
    """
    reader, writer = await open_stream(places, target, patience=patience, plane="facts")
    try:
        async with asyncio.timeout(SURVEY_TIMEOUT):
            said = await reader.read(-1)
    except (OSError, TimeoutError) as error:
        raise DialError(
            f"{target} does not say what it is like: {error or 'it takes too long'}"
        ) from error
    finally:
        writer.transport.abort()
    return read_survey(said, time.time(), target)
