"""Folders for units that this machine's own systemd does not look into."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds for a command that puts a unit in place.
SOON = 60.0

# As root, units are those of the system: the folders are ours for this one process.
_ALONE = """
mkdir -p /etc/systemd/system /run/systemd
mount --bind "$0" /etc/systemd/system
mount -t tmpfs none /run/systemd
exec "$@"
"""


def alone(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``command`` where no systemd runs, with ``folder`` for the units that it writes."""
    folder.mkdir(exist_ok=True)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "XDG_CONFIG_HOME": str(folder), **more}
    env.pop("DBUS_SESSION_BUS_ADDRESS", None)
    if os.geteuid() == 0:
        command = ("unshare", "--mount", "sh", "-e", "-c", _ALONE, str(folder), *command)
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
        env=env,
    )


def relay_alone(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``relay`` so."""
    return alone(folder, sys.executable, "-m", "relay_kernel.cli", *words, **more)


def written(folder: Path, name: str) -> Path:
    """The unit ``name`` that was written there."""
    (found,) = folder.rglob(name)
    return found
