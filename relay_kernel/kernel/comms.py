"""Comms: each belongs to the kernel that opened it, or that a front end opened it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.wire.kernel_frames import KernelFrames

#: The messages of a comm that is open. They have no replies.
COMM_TYPES = frozenset({"comm_open", "comm_msg", "comm_close"})


@dataclass(frozen=True)
class Comm:
    """A comm that is open, as far as R has seen."""

    target: str
    """Where its kernel is."""
    name: str
    """The name under which its kind is registered, such as ``jupyter.widget``."""


class Comms:
    """The open comms of all kernels, which front ends see as those of one."""

    def __init__(self, front: FrontEnd) -> None:
        self._front = front
        self._open: dict[str, Comm] = {}

    def of(self, message: KernelFrames) -> str | None:
        """Where the comm of a message is, if it is open."""
        known = self._open.get(str(message.content.get("comm_id")))
        return known.target if known else None

    def owner(self, message: KernelFrames, primary: str) -> str:
        """Take a front end's message; return where it belongs. A new comm is the primary's."""
        content = message.content
        comm = str(content.get("comm_id"))
        if message.type == "comm_open":
            self._open[comm] = Comm(primary, str(content.get("target_name")))
        known = self._open.get(comm)
        if message.type == "comm_close":
            self._open.pop(comm, None)
        return known.target if known else primary

    def note(self, target: str, frames: KernelFrames) -> None:
        """Take note of what the kernel at ``target`` says of a comm."""
        content = frames.content
        comm = str(content.get("comm_id"))
        if frames.type == "comm_open":
            self._open[comm] = Comm(target, str(content.get("target_name")))
        elif frames.type == "comm_close":
            self._open.pop(comm, None)

    def with_others(self, target: str, request: KernelFrames, reply: KernelFrames) -> KernelFrames:
        """The ``comm_info_reply`` of one kernel, with the comms of the other kernels added."""
        wanted = request.content.get("target_name")
        others = {
            comm_id: {"target_name": comm.name}
            for comm_id, comm in self._open.items()
            if comm.target != target and wanted in {None, comm.name}
        }
        content = reply.content
        if not others or content.get("status", "ok") != "ok":
            return reply
        return reply.with_content({**content, "comms": {**others, **content.get("comms", {})}})

    def lost(self, target: str) -> None:
        """The kernel at ``target`` is gone: close its comms, so that no widget waits for it."""
        gone = [comm_id for comm_id, comm in self._open.items() if comm.target == target]
        for comm_id in gone:
            del self._open[comm_id]
            self._front.publish("comm_close", {"comm_id": comm_id, "data": {}}, {})
