"""There is one of each service a user: whoever holds its lock is it, or is about to start it."""

from __future__ import annotations

import fcntl
from typing import IO, TYPE_CHECKING

from relay_kernel.core.errors import RelayError

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places


class AlreadyRunningError(RelayError):
    """Another one of this user serves, or is starting; that is as good."""


def take_lock(places: Places) -> IO[bytes]:
    """Take the hub's lock: see :func:`take`."""
    return take(places.hub_lock, "the hub")


def take(path: Path, name: str) -> IO[bytes]:
    """Take a lock; it is held until the file, and every copy that a child has, is closed.

    Raises:
        AlreadyRunningError: Somebody holds it.
    """
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise AlreadyRunningError(f"{name} runs already") from error
    return file
