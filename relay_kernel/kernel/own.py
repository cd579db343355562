"""Requests of R's own to kernels, of which front ends see nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.wire.kernel_frames import pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.targets import TargetLink
    from relay_kernel.wire.kernel_frames import KernelFrames


@dataclass(frozen=True)
class _Asked:
    target: str
    on_reply: Callable[[dict[str, Any]], None]


class OwnRequests:
    """Sends them on the control channel, and takes what kernels say to them."""

    def __init__(self, front: FrontEnd, links: dict[str, TargetLink]) -> None:
        self._front = front
        self._links = links
        self._asked: dict[str, _Asked] = {}

    def ask(
        self,
        target: str,
        msg_type: str,
        content: dict[str, Any],
        on_reply: Callable[[dict[str, Any]], None] = lambda content: None,
    ) -> None:
        """Ask the kernel at ``target``; ``on_reply`` gets the content of its reply."""
        request = self._front.request("control", msg_type, content)
        self._asked[request.id] = _Asked(target, on_reply)
        self._links[target].send(pack(request))

    def take(self, frames: KernelFrames) -> bool:
        """Take what a kernel says; False if it is not about a request of R's own.

        A request is remembered while its kernel lives: what a debugger does later has the last
        request for its parent.
        """
        asked = self._asked.get(frames.parent_id)
        if asked is None:
            return False
        if frames.channel == "control":
            asked.on_reply(frames.content)
        return True

    def lost(self, target: str) -> None:
        """The kernel at ``target`` is gone, and what it was asked with it."""
        self._asked = {one: asked for one, asked in self._asked.items() if asked.target != target}
