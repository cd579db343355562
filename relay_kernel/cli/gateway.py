"""``relay gateway NAME``: what the key of a PC that dials in runs on the server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from relay_kernel.settings.paths import find_places


def gateway(
    name: Annotated[str, typer.Argument(help="The target that the key belongs to.")],
) -> int:
    """Join a PC that dials in to the hub. Started by sshd, by a line in authorized_keys."""
    from relay_kernel.hub.gateway import run_gateway

    return run_gateway(find_places(), name, os.environ.get("SSH_ORIGINAL_COMMAND", ""))
