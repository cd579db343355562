"""How far a transfer has come, and how quickly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds over which a rate is taken: short enough to show a line that stalls.
SPAN = 4.0


class Progress:
    """One transfer, in bytes."""

    def __init__(self, path: bytes, towards: str, size: int) -> None:
        self.path = path
        self.towards = towards
        self.size = size
        """Of the file."""
        self.done = 0
        """Of them, what is at the other end, whether it travelled or was there."""
        self._marks: list[tuple[float, int]] = [(time.monotonic(), 0)]
        self._travelled = 0
        self._look: Callable[[], tuple[int, int, int]] | None = None

    def follow(self, look: Callable[[], tuple[int, int, int]]) -> None:
        """From now on ``look`` says what :meth:`came` would be told."""
        self._look = look

    def came(self, pieces: int, total: int, chunk: int) -> None:
        """``pieces`` of the ``total`` that travel, of ``chunk`` bytes each, have come."""
        travels = min(self.size, total * chunk)
        self._travelled = min(travels, pieces * chunk)
        self.done = self.size - travels + self._travelled
        now = time.monotonic()
        if now - self._marks[-1][0] >= SPAN / 8:
            self._marks.append((now, self._travelled))
            while len(self._marks) > 2 and now - self._marks[1][0] > SPAN:
                self._marks.pop(0)

    @property
    def rate(self) -> float:
        """Bytes a second, of late."""
        began, had = self._marks[0]
        seconds = time.monotonic() - began
        return (self._travelled - had) / seconds if seconds > 0 else 0.0

    def shown(self) -> dict[str, Any]:
        """For a status."""
        if self._look:
            self.came(*self._look())
        path = self.path.decode("utf-8", "surrogateescape")
        return {
            **{"path": path, "towards": self.towards, "size": self.size},
            **{"done": self.done, "rate": round(self.rate)},
        }
