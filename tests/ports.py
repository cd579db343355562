"""Ports for what a test starts, stops and starts again."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client.manager import KernelManager

#: Below those that Linux hands out by itself: while an sshd is off, nobody gets its port by chance.
PORTS = range(20_000, 32_000)
#: Each worker of pytest-xdist has a part of its own, of this many.
PARTS = 16


def _in_turn() -> Iterator[int]:
    """Those of this worker, for ever; a port comes again only after all of the others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = PORTS[worker % PARTS :: PARTS]
    first = secrets.randbelow(len(mine))
    return itertools.cycle([*mine[first:], *mine[:first]])


_ports = _in_turn()


def free_port(host: str) -> int:
    """A port of ``host`` at which nobody listens, and which nobody else of this run gets."""
    for port in itertools.islice(_ports, len(PORTS) // PARTS):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return port
    raise AssertionError(f"no port of {host} is free")


def give_ports(manager: KernelManager) -> None:
    """Have a kernel use such ports: else another program may get one before the kernel does."""
    manager.cache_ports = False
    for channel in ("shell", "iopub", "stdin", "hb", "control"):
        setattr(manager, f"{channel}_port", free_port(manager.ip))
