"""``relay sync``: both machines equal, now."""

from __future__ import annotations

from typing import Annotated

import typer

from relay_kernel.cli.files import wait


def sync(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> int:
    """Wait until all files are equal on both machines. The same as: relay files wait."""
    return wait(as_json=as_json)
