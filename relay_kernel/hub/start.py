"""Starts the services of the server: processes that outlive whoever needs them first."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from relay_kernel.hub.lock import AlreadyRunningError, take
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay_kernel.settings.paths import Places

#: A log is begun anew beyond this many bytes.
LOG_MAX = 4_000_000


@dataclass(frozen=True)
class Service:
    """A process of which there is one a user, and where it is found."""

    name: str
    """In messages: ``the hub``."""
    command: str
    """Behind ``relay``; it takes ``--lock``."""
    socket: Callable[[Places], Path]
    lock: Callable[[Places], Path]
    log: Callable[[Places], Path]


HUB = Service("the hub", "hub", lambda p: p.hub_socket, lambda p: p.hub_lock, lambda p: p.hub_log)
FILES = Service(
    "the file plane",
    "files-plane",
    lambda p: p.files_socket,
    lambda p: p.files_lock,
    lambda p: p.files_log,
)


def start(places: Places, service: Service) -> None:
    """Start a service that outlives this process, unless one runs or is starting.

    Its lock is taken here and handed down to it. So however many kernels need it at one moment,
    one is started, and the next only when that one has ended.

    Raises:
        RelayError: The folders cannot be made, or are not this user's own.
        OSError: The log cannot be written.
    """
    places.make()
    try:
        lock = take(service.lock(places), service.name)
    except AlreadyRunningError:
        return
    with lock, _open_log(service.log(places)) as output:
        words = (sys.executable, "-P", "-m", "relay_kernel.cli", service.command)
        # The shell in between ends at once, so that no child is left for anybody to wait for.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *words, "--lock", str(lock.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[lock.fileno()],
            start_new_session=True,
            cwd="/",
            env=_environment(places),
            check=False,
        )


def _open_log(path: Path) -> IO[bytes]:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_MAX:
            path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _environment(places: Places) -> dict[str, str]:
    """Ours, so that the service finds the same ``places`` from the folder that it runs in."""
    env = dict(os.environ)
    if env.get("RELAY_HOME") or find_places() != places:
        env["RELAY_HOME"] = str(places.config.parent)
    return env
