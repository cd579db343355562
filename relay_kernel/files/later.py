"""Paths that could not be brought over, why, and when they are looked at again."""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds until a path is looked at again; each time longer, up to the last.
AGAIN = (0.05, 0.2, 1.0, 5.0, 20.0, 60.0)


@dataclass(frozen=True, slots=True)
class Failed:
    """One of them."""

    why: str
    tries: int
    due: float


class Later:
    """All of them, of one pair. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._failed: dict[bytes, Failed] = {}
        self._waiting: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, path: bytes) -> bool:
        return path in self._waiting

    def put(self, path: bytes, why: str, now: float) -> Failed:
        """A path failed; it is looked at again in a while."""
        before = self._failed.get(path)
        tries = before.tries + 1 if before else 1
        pause = AGAIN[min(tries, len(AGAIN)) - 1]
        failed = self._failed[path] = Failed(why, tries, now + pause)
        self._waiting.add(path)
        return failed

    def done(self, path: bytes) -> None:
        """It is over."""
        self._failed.pop(path, None)
        self._waiting.discard(path)

    def known(self) -> set[bytes]:
        """All that failed, and is not over."""
        return set(self._failed)

    def take(self, now: float) -> list[bytes]:
        """The paths that are due. Their tries go on being counted."""
        due = [path for path in self._waiting if self._failed[path].due <= now]
        self._waiting.difference_update(due)
        return due

    def waiting(self) -> set[bytes]:
        """Those that wait, and have not failed so often that nobody need wait for them."""
        return {path for path in self._waiting if not self.patient(path)}

    def hurry(self) -> list[bytes]:
        """All that wait: something has changed that may help."""
        waiting, self._waiting = list(self._waiting), set()
        return waiting

    def next(self) -> float | None:
        """When the next is due."""
        return min((self._failed[path].due for path in self._waiting), default=None)

    def patient(self, path: bytes) -> bool:
        """Whether it failed so often that nobody need wait for it."""
        return path in self._failed and self._failed[path].tries > 2

    def reasons(self) -> dict[bytes, str]:
        """Why, for what has failed more than once."""
        return {path: one.why for path, one in self._failed.items() if one.tries > 1}

    def clear(self) -> None:
        """Forget everything."""
        self._failed.clear()
        self._waiting.clear()
