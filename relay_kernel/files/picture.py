"""What is known of a folder at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator


class Picture:
    """The tree, and what is in the folder beside it.

    Attributes:
        tree: what is kept equal, by path.
        held: path -> why it is not taken now. The tree keeps what it was before, if anything.
        skipped: path -> why it never is.
        changed: what differs from the picture before; whoever reports it takes it away.
    """

    def __init__(self) -> None:
        self.tree: dict[bytes, Entry] = {}
        self.held: dict[bytes, str] = {}
        self.skipped: dict[bytes, str] = {}
        self.changed: dict[bytes, Entry | None] = {}
        self._inside: dict[bytes, set[bytes]] = {b"": set()}

    def inside(self, folder: bytes) -> set[bytes]:
        """The paths right below a folder: in the tree, held or skipped."""
        return self._inside.get(folder, set())

    def knows(self, path: bytes) -> bool:
        """Whether anything is known to be at ``path``."""
        return path in self.tree or path in self.held or path in self.skipped

    def put(self, path: bytes, entry: Entry) -> None:
        """There is ``entry`` at ``path``."""
        if self.tree.get(path) != entry:
            self.changed[path] = entry
        self.tree[path] = entry
        self._list(path)
        if entry.kind is Kind.FOLDER:
            self._inside.setdefault(path, set())
        if self.held:
            self.held.pop(path, None)
        if self.skipped:
            self.skipped.pop(path, None)

    def hold(self, path: bytes, reason: str) -> None:
        """What is at ``path`` cannot be taken now."""
        self.held[path] = reason
        self.skipped.pop(path, None)
        self._list(path)

    def skip(self, path: bytes, reason: str) -> None:
        """What is at ``path`` never is taken; it is no longer in the tree."""
        self.skipped[path] = reason
        self.held.pop(path, None)
        self._untree(path)
        self._list(path)

    def _list(self, path: bytes) -> None:
        folder = path[: max(0, path.rfind(b"/"))]
        inside = self._inside.get(folder)
        if inside is None:
            inside = self._inside[folder] = set()
        inside.add(path)

    def _untree(self, path: bytes) -> None:
        if self.tree.pop(path, None) is not None:
            self.changed[path] = None

    def remove(self, path: bytes) -> list[bytes]:
        """Nothing is at ``path``; return it with all that was below it, the deepest first."""
        gone = [*self._below(path), path]
        for each in gone:
            self._untree(each)
            self.held.pop(each, None)
            self.skipped.pop(each, None)
            self._inside.pop(each, None)
        folder = path[: max(0, path.rfind(b"/"))]
        self._inside.get(folder, set()).discard(path)
        return gone

    def empty(self, path: bytes) -> list[bytes]:
        """Nothing is below ``path``, which is no folder any more; return what was."""
        gone = list(self._below(path))
        for each in gone:
            self._untree(each)
            self.held.pop(each, None)
            self.skipped.pop(each, None)
            self._inside.pop(each, None)
        self._inside.pop(path, None)
        return gone

    def _below(self, path: bytes) -> Iterator[bytes]:
        stack, found = [path], list[bytes]()
        while stack:
            inside = self._inside.get(stack.pop(), set())
            found.extend(inside)
            stack.extend(inside)
        return reversed(found)

    def take(self) -> dict[bytes, Entry | None]:
        """What has changed since the last time."""
        changed, self.changed = self.changed, {}
        return changed
