"""What each end of a folder has to do so that both hold the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.core.tree import Entry


@dataclass(frozen=True, slots=True)
class Change:
    """Make ``path`` at one end become ``new``, only if it still is ``old``."""

    path: bytes
    old: Entry | None
    new: Entry | None
