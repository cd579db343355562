"""Stores that a target keeps of notebooks that are away: what need not be sent when they return."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from relay_kernel.store.kept import SHARE

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of all of them together, where a disk has so much to give.
MOST = 20 << 30


def bound(folder: Path, living: frozenset[str], most: float = MOST) -> None:
    """Remove stores of notebooks that are away, the one used longest ago first.

    Slow (it looks at every file): call it in a thread.

    Args:
        folder: has one store for each notebook.
        living: names of notebooks whose kernel may be at work; their stores stay.
        most: bytes that the others may have, and no more than a part of the disk.
    """
    away = [root for root in folder.glob("*/") if root.name not in living]
    sizes = {root: _size(root) for root in away}
    if not sizes:
        return
    most = min(most, SHARE * (shutil.disk_usage(folder).free + sum(sizes.values())))
    total = 0
    for root in sorted(away, key=_used, reverse=True):
        total += sizes[root]
        if total > most:
            total -= sizes[root]
            shutil.rmtree(root, ignore_errors=True)


def _size(root: Path) -> int:
    total = 0
    for path in (root / "chunks").glob("*/*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def _used(root: Path) -> float:
    """When something was last written to a store; seconds since the epoch."""
    times = []
    for path in (root, *(root / "chunks").glob("*/")):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)
