"""Where everything goes that is displaced, and from where it comes back."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.durable import sync_all
from relay_kernel.files.errors import FolderError, UnsafePathError
from relay_kernel.files.root import Parents, show

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator

    from relay_kernel.files.exchange import Exchange
    from relay_kernel.files.root import Root
    from relay_kernel.files.rules import Rules

_STAMP = "%Y%m%dT%H%M%S.%fZ"
DAY = 86400.0
#: Seconds for which nothing is removed to make room for something new.
SAFE = DAY


@dataclass(frozen=True, slots=True)
class Trashed:
    """Something that was displaced.

    Attributes:
        path: what it was called.
        when: the moment, as a name that sorts.
        size: bytes.
    """

    path: bytes
    when: str
    size: int


class Trash:
    """Displaced files and links, below ``.relay/trash/<when>/`` under the paths they had.

    Only its own bounds ever remove anything for good.
    """

    def __init__(self, root: Root, exchange: Exchange, rules: Rules) -> None:
        self._root = root
        self._exchange = exchange
        self._rules = rules
        self._last = ""
        self._contents: dict[bytes, tuple[bytes, str]] = {}

    def _folder(self) -> bytes:
        return os.path.join(os.fsencode(self._root.path), b".relay", b"trash")

    def begin(self) -> Batch:
        """A new batch of displaced things."""
        return Batch(self._root, self.moment())

    def know(self, path: bytes, when: str, entry: Entry) -> None:
        """What was displaced; as long as this process lives it may serve as a source."""
        if entry.kind is Kind.FILE:
            self._contents[entry.content] = (path, when)

    def holding(self, content: bytes) -> tuple[bytes, str] | None:
        """The path and the moment of a file in the trash with this digest, if one is known."""
        return self._contents.get(content)

    def moment(self) -> str:
        """A name for now; each is later than the one before."""
        now = datetime.now(UTC).strftime(_STAMP)
        if now <= self._last:
            moment = datetime.strptime(self._last, _STAMP).replace(tzinfo=UTC).timestamp()
            now = datetime.fromtimestamp(moment + 2e-6, UTC).strftime(_STAMP)
        self._last = now
        return now

    def list(self) -> list[Trashed]:
        """All that is in it, the newest first."""
        found = []
        for when in self._moments():
            top = os.path.join(self._folder(), os.fsencode(when))
            for folder, folders, files in os.walk(top):
                links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
                for name in [*files, *links]:
                    path = os.path.join(folder, name)
                    with contextlib.suppress(FileNotFoundError):
                        size = os.lstat(path).st_size
                        found.append(Trashed(path[len(top) + 1 :], when, size))
        return sorted(found, key=lambda each: (each.when, each.path), reverse=True)

    def _moments(self) -> builtins.list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.fsdecode(name) for name in os.listdir(self._folder()))
        return []

    def restore(self, path: bytes, when: str) -> None:
        """Put something back where it was. What is there now takes its place in the trash.

        Raises:
            FolderError: it is not in the trash, or its folder is something else now.
        """
        batch = self.begin()
        with Parents(self._root.trash) as there, Parents(self._root.fd) as here, batch:
            try:
                source, old = there.of(os.fsencode(when) + b"/" + path)
                os.lstat(old, dir_fd=source)
            except (OSError, UnsafePathError) as error:
                raise FolderError(f"{show(path)} is not in the trash of {when!r}") from error
            try:
                self._put_back(path, source, old, here, batch)
            except (FileExistsError, NotADirectoryError) as error:
                raise FolderError(
                    f"{show(path)} cannot be put back: its folder is something else now"
                ) from error
            except (OSError, UnsafePathError) as error:
                raise FolderError(f"{show(path)} cannot be put back: {error}") from error

    def _put_back(self, path: bytes, source: int, old: bytes, here: Parents, batch: Batch) -> None:
        folder, _, name = path.rpartition(b"/")
        at = here.folder(folder, make=True) if folder else self._root.fd
        try:
            self._exchange.create(source, old, at, name)
        except FileExistsError:
            spot, kept = batch.slot(path)
            if self._exchange.swaps:
                self._exchange.create(source, old, spot, kept)
                self._exchange.swap(spot, kept, at, name)
            else:
                self._exchange.create(at, name, spot, kept)
                self._exchange.create(source, old, at, name)
        sync_all(self._root.fd)

    def bound(self, now: float) -> None:
        """Remove what is too old, and the oldest of what is too much; ``now``: since the epoch."""
        moments = self._moments()
        for when in moments:
            if _age(when, now) > self._rules.trash_days * DAY:
                self._remove(when)
        self._shrink_to(self._rules.trash_bytes, now, 0.0)

    def make_room(self, needed: int) -> None:
        """Remove so many bytes, the oldest first, but nothing of the last day."""
        total = sum(self._sizes().values())
        self._shrink_to(max(0, total - needed), time.time(), SAFE)

    def _shrink_to(self, limit: int, now: float, safe: float) -> None:
        sizes = self._sizes()
        total = sum(sizes.values())
        for when, size in sorted(sizes.items()):
            if total <= limit or _age(when, now) < safe:
                return
            self._remove(when)
            total -= size

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = dict.fromkeys(self._moments(), 0)
        for each in self.list():
            sizes[each.when] += each.size
        return sizes

    def _remove(self, when: str) -> None:
        shutil.rmtree(os.path.join(self._folder(), os.fsencode(when)), ignore_errors=True)


def _age(when: str, now: float) -> float:
    """Seconds; of what somebody else put there: none."""
    try:
        return now - datetime.strptime(when, _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


class Batch:
    """What one commit displaces. A context manager.

    Attributes:
        when: the moment.
        used: whether there is anything in it.
    """

    def __init__(self, root: Root, when: str) -> None:
        self.when = when
        self.used = False
        self._top = root.trash
        self._parents = Parents(root.trash)

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self._parents.close()

    def slot(self, path: bytes) -> tuple[int, bytes]:
        """An open folder in the trash, and the free name in it for what was at ``path``."""
        self.used = True
        folder, _, name = path.rpartition(b"/")
        top = os.fsencode(self.when)
        return self._parents.folder(top + b"/" + folder if folder else top, make=True), name

    def renew(self, when: str) -> None:
        """Go on under another moment: a path is displaced twice."""
        self.when = when

    def opened(self) -> Iterator[int]:
        """The open folders that something went into."""
        if self.used:
            yield self._top
            yield from self._parents.opened()
