"""Reads every file of a folder, as fast as it can, and tells of each that is not whole.

    python -m tests.files.chaos.onlooker FOLDER REPORT

Until SIGTERM, or until whoever started it is gone. The report has one JSON object a line: a
sighting of what is not whole, and at the end how many were read, and when each value was first met.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

from tests.files.chaos.person import grows
from tests.files.chaos.values import TornError, link_value, values

#: The programs that are watched come first.
NICE = 10


class Onlooker:
    """Looks at one folder."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self.sightings: list[dict[str, Any]] = []
        self._torn: set[tuple[bytes, int]] = set()
        self.read = 0
        self.met: dict[str, float] = {}

    def round(self) -> None:
        """Read everything once."""
        for folder, folders, names in os.walk(self._root):
            if b".relay" in folders:
                folders.remove(b".relay")
            for name in names:
                self._look(os.path.join(folder, name))

    def _look(self, path: bytes) -> None:
        began = time.monotonic()
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            with contextlib.suppress(OSError):
                self.met.setdefault(link_value(os.readlink(path)), began)
            return
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return
            try:
                for value in values(_all_of(fd), grows=grows(path)):
                    self.met.setdefault(value, began)
                self._torn.discard((path, found.st_ino))
            except TornError as torn:
                if (path, found.st_ino) in self._torn:
                    return
                self._torn.add((path, found.st_ino))
                self.sightings.append(
                    {
                        **{"path": os.fsdecode(path), "what": str(torn)},
                        **{"device": found.st_dev, "inode": found.st_ino},
                        **{"began": began, "ended": time.monotonic()},
                    }
                )
        finally:
            os.close(fd)
        self.read += 1


def _all_of(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 22):
        parts.append(part)
    return b"".join(parts)


def main() -> None:
    """Look until the end."""
    os.nice(NICE)
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: over.append(number))
    onlooker = Onlooker(os.fsencode(sys.argv[1]))
    print("looks", flush=True)
    parent = os.getppid()
    # A test that was killed must not leave it behind.
    while not over and os.getppid() == parent:
        onlooker.round()
    lines = [*onlooker.sightings, {"read": onlooker.read, "met": onlooker.met}]
    Path(sys.argv[2]).write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main()
