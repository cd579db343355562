"""State that changed without a cell: a widget was moved, or a subshell ran something."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.core.router import Router
    from relay_kernel.wire.kernel_frames import KernelFrames

#: Requests that may run code of the user, beside the cells of the main shell.
STIRRING = frozenset({"comm_open", "comm_msg", "comm_close", "execute_request"})
#: Seconds without another such request after which the state is captured: a slider that is dragged
#: sends dozens of them.
CALM = 0.3


class Stirred:
    """Has the kernel that runs the cells captured again when it is calm.

    What has changed then belongs to the state after the last cell. If a cell runs or waits by that
    time, the capture that follows it holds the change.

    Args:
        router: knows who runs the cells.
        capture: has the kernel at a target captured, given the epoch and the last cell.
    """

    def __init__(self, router: Router, capture: Callable[[str, int, int], None]) -> None:
        self._router = router
        self._capture = capture
        self._timer: asyncio.TimerHandle | None = None

    def look(self, target: str, idle: KernelFrames) -> None:
        """The kernel at ``target`` is done with a request that is no cell."""
        if target != self._router.primary or idle.parent.get("msg_type") not in STIRRING:
            return
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(CALM, self._calm)

    def _calm(self) -> None:
        self._timer = None
        router = self._router
        if router.running is None and not router.queue and router.targets[router.primary].kernel:
            self._capture(router.primary, router.epoch, router.head)
