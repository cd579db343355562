"""What an agent says of itself in its greeting."""

from __future__ import annotations

import platform
import secrets
from pathlib import Path

from relay_kernel import __version__

#: New with every start of this process: another instance knows nothing of our sessions.
INSTANCE = secrets.token_hex(8)


def boot_id() -> str:
    """Changes with every boot of the machine; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def introduction() -> dict[str, str]:
    """Fields for a HELLO."""
    return {
        "instance": INSTANCE,
        "boot_id": boot_id(),
        "host": platform.node(),
        "version": __version__,
    }
