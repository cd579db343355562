"""What Debian's Unison lacks: the helper that tells it what has changed, on inotify.

Unison starts ``unison-fsmonitor`` from the ``PATH`` and speaks with it on its standard streams, a
line at a time, as a comment in its own ``src/fswatch.ml`` says. Without it ``-repeat watch`` does
not work, and Unison would have to look through everything again and again.
"""

from __future__ import annotations

import os
import select
import sys
from urllib.parse import quote, unquote

from inotify_simple import INotify, flags

#: Seconds that changes are let gather: so does the helper that Unison's authors ship.
SETTLE = 0.1
_MASK = (
    *(flags.MODIFY, flags.ATTRIB, flags.CREATE, flags.DELETE, flags.MOVED_FROM, flags.MOVED_TO),
    *(flags.DELETE_SELF, flags.MOVE_SELF, flags.ONLYDIR),
)


class Monitor:
    """All that one Unison watches."""

    def __init__(self) -> None:
        self._inotify = INotify()
        self._mask = sum(int(each) for each in _MASK)
        self._watched: dict[int, tuple[str, str]] = {}
        self._changed: dict[str, set[str]] = {}
        self._waiting: set[str] = set()
        self._scanning: tuple[str, str, str] = ("", "", "")
        self._rest = b""

    def run(self) -> None:
        """Go on until Unison ends."""
        self._say("VERSION", "1")
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._inotify.fileno(), select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if 0 in ready:
                data = os.read(0, 1 << 16)
                if not data:
                    return
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self._command(*line.decode().split(" "))
            if self._inotify.fileno() in ready:
                select.select([0], [], [], SETTLE)
                self._hear()
            self._tell()

    def _command(self, word: str, *arguments: str) -> None:
        parts = [unquote(argument, errors="surrogateescape") for argument in arguments]
        self._waiting = self._waiting if word == "WAIT" else set()
        if word == "START":
            replica, root, *path = parts
            self._scanning = replica, root, path[0] if path else ""
            self._watch(self._scanning[2])
            self._say("OK")
        elif word in {"DIR", "LINK"}:
            self._watch(os.path.join(self._scanning[2], parts[0] if parts else ""))
            self._say("OK")
        elif word == "WAIT":
            self._waiting.add(parts[0])
        elif word == "CHANGES":
            self._hear()
            for path in sorted(self._changed.pop(parts[0], set())):
                self._say("RECURSIVE", path)
            self._say("DONE")
        elif word == "RESET":
            self._changed.pop(parts[0], None)

    def _watch(self, path: str) -> None:
        replica, root, _ = self._scanning
        try:
            watch = self._inotify.add_watch(os.path.join(root, path), self._mask)
        except OSError:
            return
        self._watched[watch] = replica, path.strip("/")

    def _hear(self) -> None:
        for watch, _, _, name in self._inotify.read(timeout=0):
            if watch in self._watched:
                replica, folder = self._watched[watch]
                self._changed.setdefault(replica, set()).add(os.path.join(folder, name))

    def _tell(self) -> None:
        found = [replica for replica in self._waiting if self._changed.get(replica)]
        if found:
            self._waiting.clear()
            self._say("CHANGES", *found)

    @staticmethod
    def _say(word: str, *arguments: str) -> None:
        print(word, *(quote(each, errors="surrogateescape") for each in arguments), flush=True)


if __name__ == "__main__":
    sys.exit(Monitor().run())
