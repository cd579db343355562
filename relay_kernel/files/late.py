"""Files that were displaced while somebody, unseen, still had them open, and wrote on."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from relay_kernel.files.root import Parents

if TYPE_CHECKING:
    from relay_kernel.files.exchange import Exchange
    from relay_kernel.files.root import Root
    from relay_kernel.files.watch import Watch

#: Seconds after which a displaced file is looked at again.
LOOKS = (1.0, 10.0, 60.0, 600.0)
#: The path under which the watch knows that such a look is due: no file's.
LATE = b""


class _Displaced(NamedTuple):
    path: bytes
    when: str
    size: int
    mtime_ns: int
    due: float
    look: int


class Late:
    """Looks again at what was displaced; what was written to since comes back beside its name.

    Attributes:
        back: path -> the name under which a later version of it was brought back.
    """

    def __init__(self, root: Root, exchange: Exchange, watch: Watch) -> None:
        self.back: dict[bytes, bytes] = {}
        self._root = root
        self._exchange = exchange
        self._watch = watch
        self._list: list[_Displaced] = []

    def add(self, path: bytes, when: str, found: os.stat_result) -> None:
        """A file was displaced, and looked like this."""
        if stat.S_ISREG(found.st_mode):
            due = time.monotonic() + LOOKS[0]
            size, mtime = found.st_size, found.st_mtime_ns
            self._list.append(_Displaced(path, when, size, mtime, due, 0))

    def arm(self) -> None:
        """Have the watch say when the next look is due."""
        if self._list:
            due = min(each.due for each in self._list)
            self._watch.look_at(LATE, max(0.0, due - time.monotonic()))

    def look(self) -> None:
        """Look at those that are due."""
        now = time.monotonic()
        waiting = []
        with Parents(self._root.trash) as there:
            for each in self._list:
                if each.due > now:
                    waiting.append(each)
                elif self._unchanged(each, there) and each.look + 1 < len(LOOKS):
                    due = now + LOOKS[each.look + 1] - LOOKS[each.look]
                    waiting.append(each._replace(due=due, look=each.look + 1))
        self._list = waiting
        self.arm()

    def _unchanged(self, each: _Displaced, there: Parents) -> bool:
        """Whether it is as it was; if it is not, it is brought back."""
        try:
            at, name = there.of(os.fsencode(each.when) + b"/" + each.path)
            found = os.lstat(name, dir_fd=at)
            if (found.st_size, found.st_mtime_ns) == (each.size, each.mtime_ns):
                return True
            self.bring_back(each.path, at, name)
        except OSError:
            # Restored, or removed by the trash's bounds.
            pass
        return False

    def bring_back(self, path: bytes, at: int, name: bytes) -> None:
        """Move what is at ``name`` in an open folder to a free name beside ``path``."""
        folder, _, last = path.rpartition(b"/")
        stamp = time.strftime("%Y%m%d-%H%M%S").encode()
        with Parents(self._root.fd) as here:
            fd = here.folder(folder, make=True) if folder else self._root.fd
            for copy in _copies(last, stamp):
                try:
                    self._exchange.create(at, name, fd, copy)
                except FileExistsError:
                    continue
                self.back[path] = folder + b"/" + copy if folder else copy
                self._watch.look_at(self.back[path], 0.0)
                return


def _copies(name: bytes, stamp: bytes) -> list[bytes]:
    stem, dot, suffix = name.rpartition(b".")
    if not stem:
        stem, dot, suffix = name, b"", b""
    return [
        b"%s.conflict-late-%s%s%s%s"
        % (stem, stamp, b"-%d" % number if number else b"", dot, suffix)
        for number in range(100)
    ]
