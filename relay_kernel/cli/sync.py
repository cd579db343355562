"""``relay sync``: both machines equal, now."""

from __future__ import annotations

from relay_kernel.cli.files import wait


def sync() -> None:
    """Wait until all files are equal on both machines. The same as: relay files wait."""
    wait()
