"""Keeps an agent within its lease: while it is over, nothing runs and nothing is begun."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from relay_kernel.link.clock import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.core.fence import Fence

log = logging.getLogger(__name__)

#: Seconds between two looks at the lease. The loop's clock stands still while the machine sleeps,
#: and the lease does not: a timer for its whole length would let a kernel run on after waking up.
LOOK = 1.0


class Guard:
    """The clock of a :class:`Fence`.

    A closed fence opens again when R is heard in the same session, since then R has not given the
    role away: nothing is lost but the time in between.

    Args:
        fence: decides.
        on_close: the lease has ended.
        on_open: it was renewed after all.
    """

    def __init__(
        self, fence: Fence, on_close: Callable[[], None], on_open: Callable[[], None]
    ) -> None:
        self.fence = fence
        self.is_closed = False
        self._on_close = on_close
        self._on_open = on_open
        self._timer: asyncio.TimerHandle | None = None

    def renew(self, sent: float) -> None:
        """R has answered what was sent at ``sent``."""
        self.fence.renew(sent)
        self.check()

    def check(self) -> bool:
        """Close or open, as things are; returns whether it is open."""
        closed = self.fence.is_closed(now())
        if closed != self.is_closed:
            self.is_closed = closed
            (self._on_close if closed else self._on_open)()
        self._arm()
        return not closed

    def stop(self) -> None:
        """Nothing is left to guard."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        deadline = self.fence.next_deadline()
        if self._timer or self.is_closed or deadline is None:
            # A timer that fires early arms itself again: cheaper than one for each renewal.
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(max(0.0, deadline - now()), LOOK), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.check()
