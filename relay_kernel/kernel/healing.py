"""Chunks that are damaged or gone: had again from the kernel that still holds their values.

Rule: a target that waits for a chunk is answered, with the chunk or with word that it is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

#: How often a chunk is had again; a disk that spoils it each time shall not keep us busy.
TRIES = 2
#: Seconds from a snapshot that failed to the next try; each takes twice as long as the one before.
FIRST, LONGEST = 10.0, 300.0


class Healer:
    """Orders further captures, and remembers who waits for what they bring.

    Args:
        primary: names the target whose kernel has the variables, and gives the epoch.
        send: gives an order to a target.
        offer: lets a target have chunks that are in the store now.
    """

    def __init__(
        self,
        primary: Callable[[], tuple[str, int]],
        send: Callable[[str, Message], None],
        offer: Callable[[str, list[str]], None],
    ) -> None:
        self._primary = primary
        self._send = send
        self._offer = offer
        self._waiting: dict[str, set[str]] = {}
        self._tries: Counter[str] = Counter()
        self._pause = FIRST
        self._timer: asyncio.TimerHandle | None = None
        self._asked = ""

    def had(self, target: str, key: str, cell: int) -> bool:
        """A chunk that ``target`` needs cannot be read here.

        Returns:
            Whether it will be answered later; if not, nobody has the chunk any more.
        """
        primary, epoch = self._primary()
        if target == primary or self._tries[key] >= TRIES:
            return False
        self._tries[key] += 1
        log.warning("chunk %s is damaged or gone: %s is asked for its value", key[:12], primary)
        if not self._waiting:
            self.capture_again(primary, epoch, cell)
        self._waiting.setdefault(key, set()).add(target)
        return True

    def source_lacks(self, source: str, epoch: int, cell: int, keys: set[str]) -> bool:
        """The kernel at ``source`` took chunks for written that are not there.

        Returns:
            Whether it shall write them again; if not, that was in vain already.
        """
        if any(self._tries[key] >= TRIES for key in keys):
            return False
        self._tries.update(keys)
        self.capture_again(source, epoch, cell)
        return True

    def capture_again(
        self, target: str, epoch: int, cell: int, *, distrust: bool = True, stirred: int = 0
    ) -> None:
        """Order a capture. With ``distrust`` the kernel looks at all that it has written."""
        self._asked = target
        head = {"cell": cell, "epoch": epoch, "distrust": distrust}
        self._send(target, Message("capture", {**head, "stirred": stirred} if stirred else head))

    def settle(self, missing: Callable[[list[str]], list[str]]) -> None:
        """A snapshot is whole here, or none will come: everybody who waits is answered."""
        waiting, self._waiting = self._waiting, {}
        for key, targets in waiting.items():
            lost = bool(missing([key]))
            for target in targets:
                if lost:
                    self._send(target, lost_chunk(key))
                else:
                    self._offer(target, [key])

    def forget(self, target: str, missing: Callable[[list[str]], list[str]]) -> None:
        """The kernel at a target is gone: it waits for nothing, and mends nothing."""
        for targets in self._waiting.values():
            targets.discard(target)
        if target == self._asked:
            self.settle(missing)

    def calm(self) -> None:
        """A snapshot came: there is nothing to be tried again."""
        self._pause = FIRST
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def try_later(self, source: str, epoch: int, cell: int) -> None:
        """A snapshot failed, perhaps for a full disk, and no cell may come that makes another."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause, self._try, source, epoch, cell)
            self._pause = min(2 * self._pause, LONGEST)

    def _try(self, source: str, epoch: int, cell: int) -> None:
        self._timer = None
        if self._primary() == (source, epoch):
            self.capture_again(source, epoch, cell, distrust=False)


def lost_chunk(key: str) -> Message:
    """Word that nobody has a chunk any more; what it is part of is lost with it."""
    error = f"chunk {key[:12]} is damaged or gone, and so is the kernel that had its value"
    return Message("chunk", {"key": key, "error": error, "lost": True})
