"""The logs of one machine, read as one: the last lines, and those that come."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relay_kernel.settings.paths import Places

#: Bytes from the end of a log that are looked at for its last lines.
FAR_BACK = 1 << 20

#: Letters of a line that are shown.
LONGEST = 2000

#: As Python's logging writes the time: local, without its zone.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:,(\d{3}))? ")


@dataclass(frozen=True)
class Entry:
    """One line of a log."""

    at: float
    """Seconds since the epoch; a line without a time has that of the one before it."""
    of: str
    """``hub``, ``kernel``, ``files``, ``agent`` or ``envs``."""
    text: str
    """Without its time."""


def log_files(places: Places) -> dict[str, Path]:
    """Whose log -> its file, which need not be there."""
    return {
        "hub": places.hub_log,
        "kernel": places.kernel_log,
        "files": places.files_log,
        "envs": places.envs_log,
        "agent": places.agent_log,
    }


class Logs:
    """Some logs, read side by side. Each call returns what is new since the call before.

    Args:
        files: Whose log -> its file; one that is not there may come later, or be begun anew.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._tails = [_Tail(of, path) for of, path in files.items()]

    def last(self, count: int) -> list[Entry]:
        """The last ``count`` lines of all together, in the order of their times."""
        entries = [entry for tail in self._tails for entry in tail.last(count)]
        return _sorted(entries)[-count:] if count else []

    def new(self) -> list[Entry]:
        """The lines that have come since; empty if none have."""
        return _sorted([entry for tail in self._tails for entry in tail.new()])


def _sorted(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.at)


class _Tail:
    """One log, and how far it was read."""

    def __init__(self, of: str, path: Path) -> None:
        self._of = of
        self._path = path
        self._place = 0
        self._inode = 0
        self._at = 0.0
        self._held = b""

    def last(self, count: int) -> list[Entry]:
        data, _ = self._read(max(0, self._size() - FAR_BACK))
        entries = self._entries(data)
        return entries[-count:] if count else []

    def new(self) -> list[Entry]:
        data, anew = self._read(self._place)
        if anew:
            self._held = b""
        return self._entries(data)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _read(self, place: int) -> tuple[bytes, bool]:
        """What stands behind ``place``; from the start, and true, where the file is another."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                anew = self._inode not in {found.st_ino, 0} or found.st_size < place
                self._inode = found.st_ino
                self._at = self._at or found.st_mtime
                file.seek(0 if anew else place)
                data = file.read()
                self._place = file.tell()
                return data, anew
        except OSError:
            return b"", False

    def _entries(self, data: bytes) -> list[Entry]:
        """Whole lines; the rest waits for its end."""
        *lines, self._held = (self._held + data).split(b"\n")
        return [self._entry(line.decode(errors="replace")) for line in lines if line.strip()]

    def _entry(self, line: str) -> Entry:
        found = _TIME.match(line)
        if found is not None:
            second = time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S"))
            self._at = second + int(found[2] or 0) / 1000
            line = line[found.end() :]
        return Entry(self._at, self._of, line[:LONGEST])
