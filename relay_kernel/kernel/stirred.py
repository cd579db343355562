"""State that changed without a cell: a widget was moved, or a subshell ran something."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relay_kernel.core import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.core.router import Router
    from relay_kernel.wire.kernel_frames import KernelFrames

#: Requests that may run code of the user, beside the cells of the main shell.
STIRRING = frozenset({"comm_open", "comm_msg", "comm_close", "execute_request"})
#: Seconds without another such request after which the state is captured: a slider that is dragged
#: sends dozens of them.
CALM = 0.3
#: Seconds after which it is captured although they go on: a dashboard that polls never pauses.
LONGEST = 2.0


class Stirred:
    """Has the kernel that runs the cells captured again when it is calm.

    What has changed then belongs to the state after the last cell. If a cell runs by that time, the
    capture that follows it holds the change.

    Args:
        router: knows who runs the cells.
        capture: has the kernel at a target captured, given the epoch, the last cell, and the number
            of the ``StateStirred`` that it is for.
        emit: takes the events for the router.
    """

    def __init__(
        self,
        router: Router,
        capture: Callable[[str, int, int, int], None],
        emit: Callable[[ev.Event], None],
    ) -> None:
        self._router = router
        self._capture = capture
        self._emit = emit
        self._number = 0
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def look(self, target: str, idle: KernelFrames) -> None:
        """The kernel at ``target`` is done with a request that is no cell."""
        if target != self._router.primary or idle.parent.get("msg_type") not in STIRRING:
            return
        loop = asyncio.get_running_loop()
        if self._timer:
            self._timer.cancel()
        else:
            self._since = loop.time()
        self._timer = loop.call_at(min(loop.time() + CALM, self._since + LONGEST), self._calm)
        self._number += 1
        self._emit(ev.StateStirred(target, self._number))

    def _calm(self) -> None:
        self._timer = None
        router = self._router
        if router.running is None and router.targets[router.primary].kernel:
            self._capture(router.primary, router.epoch, router.head, self._number)
