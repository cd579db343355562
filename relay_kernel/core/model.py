"""The nouns that all packages share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

#: The name of the target that is always there: the server itself.
LOCAL = "local"

OnLoss = Literal["rerun", "stop", "ask"]


class Phase(Enum):
    """What R believes of a target."""

    ABSENT = "absent"
    """No link, and nothing of ours is thought to run there."""
    LINKED = "linked"
    """The agent answers; its kernel is not up yet."""
    FILLING = "filling"
    """The kernel is up and is being given the notebook's state."""
    READY = "ready"
    """The kernel holds the last state that is safe, and may be given a cell."""
    QUIET = "quiet"
    """The link is down, and the kernel may well go on behind it."""


class Run(Enum):
    """How a cell is run."""

    FIRST = "first"
    """As the user sent it."""
    AGAIN = "again"
    """After a loss, for the cell that was running: outputs already shown are not repeated."""
    SILENT = "silent"
    """After a loss, for a cell that had finished but was not safe: nothing is shown."""


@dataclass(frozen=True)
class Policy:
    """What the user may choose; all times in seconds. See ``[kernel]`` in ``config.toml``."""

    on_loss: OnLoss = "rerun"
    lost_after: float = 60.0
    wait_at_submit: float = 5.0
    handover: float = 2.0
    """How long a cell waits for a returning target that is nearly filled."""
