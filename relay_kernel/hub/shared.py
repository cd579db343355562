"""What the clients of the hub share, and what ends with the last of them where it is retired."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.hub.status import Entry
    from relay_kernel.settings.config import TargetConfig


class Shared:
    """The connections to one target.

    Args:
        target: as it was configured when this was made.
        entry: what is told of it.
    """

    def __init__(self, target: TargetConfig, entry: Entry) -> None:
        self.target = target
        self._entry = entry
        self._clients = 0
        self._is_retired = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Be one of its clients meanwhile."""
        self._clients += 1
        try:
            yield
        finally:
            self._clients -= 1
            self._close_unused()

    def retire(self, *, at_once: bool) -> None:
        """It is configured no more, or otherwise. Nothing more is told of it.

        Args:
            at_once: close; else once its last client has left, whose cell may still run.
        """
        self._is_retired = True
        self._entry.strike()
        if at_once:
            self.close()
        self._close_unused()

    def close(self) -> None:
        """End all connections and with them all channels, now. Nothing more is reported."""
        raise NotImplementedError

    def _close_unused(self) -> None:
        if self._is_retired and not self._clients:
            self.close()
