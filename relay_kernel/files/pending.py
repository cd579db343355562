"""Paths that something happened to, and when to look at them."""

from __future__ import annotations

import threading

#: Seconds after the last event until a path is looked at; after its writer closed or renamed it;
#: and at most, while events go on.
QUIET, CLOSED, AT_MOST = 0.05, 0.015, 0.5


class Pending:
    """What was seen and not yet looked at. Any thread may call.

    Attributes:
        event: set while there is something to look at.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._lock = threading.Lock()
        self._paths: dict[bytes, tuple[float, float]] = {}
        self._not_before: dict[bytes, float] = {}
        self._all_at: float | None = None
        self._soonest = float("inf")

    def mark(self, path: bytes, now: float, delay: float) -> None:
        """Look at ``path`` when ``delay`` seconds have passed without a further mark."""
        with self._lock:
            first, _ = self._paths.get(path, (now, 0.0))
            due = min(now + delay, max(now, first + AT_MOST))
            if self._not_before:
                due = max(due, self._not_before.get(path, 0.0))
            self._paths[path] = (first, due)
            self._soonest = min(self._soonest, due)

    def mark_at(self, path: bytes, due: float) -> None:
        """Look at ``path`` at ``due``, unless it is looked at before."""
        with self._lock:
            if path not in self._paths:
                self._paths[path] = (due, due)
                self._soonest = min(self._soonest, due)

    def mark_all(self, due: float) -> None:
        """Look at everything."""
        with self._lock:
            self._all_at = due if self._all_at is None else min(due, self._all_at)
            self._soonest = min(self._soonest, due)

    def spare(self, path: bytes, until: float) -> None:
        """Do not look at ``path`` for a while: a look at it is dear."""
        with self._lock:
            self._not_before[path] = until

    def due_in(self, now: float) -> float | None:
        """Seconds until something is due; None when nothing will be, or the event is set."""
        with self._lock:
            if self.event.is_set() or self._soonest == float("inf"):
                return None
            return max(0.0, self._soonest - now)

    def ring(self, now: float) -> bool:
        """Set the event if something is due; say whether it was not set before."""
        with self._lock:
            if self.event.is_set() or self._soonest > now:
                return False
            # A mark may have put off what was the soonest.
            self._find_soonest()
            if self._soonest > now:
                return False
            self.event.set()
            return True

    def _find_soonest(self) -> None:
        due = [due for _, due in self._paths.values()]
        if self._all_at is not None:
            due.append(self._all_at)
        self._soonest = min(due, default=float("inf"))

    def take(self, now: float, *, every: bool) -> tuple[list[bytes], bool]:
        """The paths that are due, or every path, and whether everything is to be looked at."""
        with self._lock:
            self.event.clear()
            if not self._paths and self._all_at is None:
                return [], False
            full = self._all_at is not None and (every or self._all_at <= now)
            if every or full:
                due = list(self._paths)
                self._paths.clear()
            else:
                due = [path for path, (_, at) in self._paths.items() if at <= now]
                for path in due:
                    del self._paths[path]
            if full:
                self._all_at = None
            self._not_before = {p: at for p, at in self._not_before.items() if at > now}
            self._find_soonest()
            return due, full
