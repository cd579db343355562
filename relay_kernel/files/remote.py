"""What the target's end has said of its folder: the server's copy of its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.files.packing import unpack_entries, unpack_paths, unpack_reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay_kernel.core.tree import Entry
    from relay_kernel.wire.message import Message


class Remote:
    """The target's folder, as far as it is known here.

    Args:
        answer: to ``open``.

    Attributes:
        tree: what is in it.
        held: path -> why it is not taken now.
        skipped: path -> why it never is.
        free: bytes that are free there; None: it did not say.
        trouble: why it cannot be worked on; empty: it can.
    """

    def __init__(self, answer: Message) -> None:
        self.tree: dict[bytes, Entry] = {}
        self.follow(dict(unpack_entries(answer.parts[0])))
        self.held = unpack_reasons(answer.parts[1])
        self.skipped = unpack_reasons(answer.parts[2])
        self.trouble = ""
        self.free: int | None = None
        self.base = str(answer.head.get("base") or "")
        """The base that it belongs to; empty: none yet."""
        self.boot = str(answer.head.get("boot") or "")
        """Names the present boot of its machine."""
        self.ended = str(answer.head.get("ended") or "")
        """The last boot of it that was shut down in order."""
        self._note(answer)

    def follow(self, changes: Mapping[bytes, Entry | None]) -> None:
        """These changes were made there."""
        for path, entry in changes.items():
            if entry is None:
                self.tree.pop(path, None)
            else:
                self.tree[path] = entry

    def take(self, message: Message) -> tuple[set[bytes], set[bytes]]:
        """Take in what has changed there.

        Returns:
            The paths to look at, and those that its rules have come to ignore.
        """
        changes = dict(unpack_entries(message.parts[0]))
        hidden = set(unpack_paths(message.parts[1]))
        self.follow(changes)
        paths = changes.keys() - hidden
        if len(message.parts) > 2:
            before = self.held.keys() | self.skipped.keys()
            self.held = unpack_reasons(message.parts[2])
            self.skipped = unpack_reasons(message.parts[3])
            paths |= before - self.held.keys() - self.skipped.keys()
        self._note(message)
        return paths, hidden

    def _note(self, message: Message) -> None:
        free = message.head.get("free")
        self.free = free if isinstance(free, int) else self.free
        self.trouble = str(message.head.get("trouble") or "")
