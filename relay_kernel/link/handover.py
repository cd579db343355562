"""The way between R and the agent of ``local``, which are in one process."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.wire.message import Message


class Handover:
    """One end of :func:`handover`, a :class:`relay_kernel.link.carrier.Carrier`.

    Messages are handed over whole: nothing lies between the ends that could be cut, so there is
    nothing to number and nothing to keep. Each arrives in a turn of the loop of its own, so that
    neither end is called while it is in the middle of something.

    Args:
        on_message: called on the loop for each message.
    """

    linked = True
    rtt: float | None = None
    answered_at: float | None = None

    def __init__(self, on_message: Callable[[Message], None]) -> None:
        self.bulk_source: Callable[[], Message | None] | None = None
        self.peer = self
        self._on_message = on_message
        self._arrived: deque[Message] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = False

    def send(self, message: Message) -> None:
        """See :class:`relay_kernel.link.carrier.Carrier`."""
        self.peer._arrived.append(message)
        self.peer._deliver_soon()

    def flush(self) -> None:
        """See :class:`relay_kernel.link.carrier.Carrier`."""
        self.peer._deliver_soon()

    def part(self, reason: str) -> None:
        """See :class:`relay_kernel.link.carrier.Carrier`; here both ends end together."""

    def _deliver_soon(self) -> None:
        if not self._due:
            self._due = True
            self._loop = self._loop or asyncio.get_running_loop()
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._due = False
        try:
            for _ in range(len(self._arrived)):
                self._on_message(self._arrived.popleft())
            # One at a time, behind all that is no bulk.
            bulk = self.peer.bulk_source() if self.peer.bulk_source else None
            if bulk is not None:
                self._arrived.append(bulk)
        finally:
            if self._arrived:
                self._deliver_soon()


def handover(
    near: Callable[[Message], None], far: Callable[[Message], None]
) -> tuple[Handover, Handover]:
    """Two ends; ``near`` takes what arrives at the first, ``far`` at the second."""
    one, other = Handover(near), Handover(far)
    one.peer, other.peer = other, one
    return one, other
