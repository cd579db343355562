"""Subshells: each belongs to one kernel, and its id means nothing to another.

A front end keeps a subshell for the messages of its widgets, and does not know when the role moves.
Comms of a kernel that does not have that subshell go over one that R makes there in its place, so
that a widget is as quick as before, and a slider does not wait for the cell that runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from relay_kernel.kernel.info import SUBSHELLS, supports

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.own import OwnRequests
    from relay_kernel.wire.kernel_frames import KernelFrames


@dataclass
class _StandIn:
    """A subshell of R's own; its messages wait until it is there."""

    id: str | None = None
    waiting: list[KernelFrames] = field(default_factory=list)


class Subshells:
    """Who owns which subshell, and what stands in for it elsewhere.

    Args:
        infos: by target, the kernel_info of its kernel.
        send: passes a message of a front end on to the kernel at a target, under another header.
    """

    def __init__(
        self,
        front: FrontEnd,
        own: OwnRequests,
        infos: dict[str, dict[str, Any]],
        send: Callable[[str, KernelFrames, KernelFrames], None],
    ) -> None:
        self._front = front
        self._own = own
        self._infos = infos
        self._send = send
        self._owners: dict[str, str | None] = {}
        #: By the front end's subshell, and the target where another stands in for it.
        self._stand_ins: dict[tuple[str, str], _StandIn] = {}

    def owner(self, subshell: str) -> str | None:
        """Where a subshell is; None if it is lost, or there never was one of this id."""
        return self._owners.get(subshell)

    def known(self, subshell: str) -> bool:
        """Whether a front end has made it and not deleted it, be it lost or not."""
        return subshell in self._owners

    def refuse(self, message: KernelFrames, primary: str) -> None:
        """Answer, as a kernel would, a request to a subshell that is not where cells run."""
        subshell = str(message.header.get("subshell_id") or message.content.get("subshell_id"))
        owner = self._owners.get(subshell)
        text = f"Unknown subshell_id {subshell!r}"
        if owner:
            text += f": it belongs to {owner}, and the notebook runs on {primary} now"
        self._front.refuse(message, "UnknownSubshellError", text)

    # ------------------------------------------------------------------ standing in

    def pass_on(self, subshell: str, target: str, message: KernelFrames) -> None:
        """Send a comm's message to a kernel that does not have the subshell it names."""
        if not supports(self._infos.get(target, {}), SUBSHELLS):
            self._send(target, message, message.on_subshell(None))
            return
        stand_in = self._stand_ins.get((subshell, target))
        if stand_in is None:
            stand_in = self._stand_ins[subshell, target] = _StandIn()
            made = partial(self._made, (subshell, target))
            self._own.ask(target, "create_subshell_request", {}, made)
        if stand_in.id is None:
            stand_in.waiting.append(message)
        else:
            self._send(target, message, message.on_subshell(stand_in.id))

    def _made(self, about: tuple[str, str], reply: dict[str, Any]) -> None:
        subshell, stand_in = reply.get("subshell_id"), self._stand_ins.get(about)
        if stand_in is None:
            # The front end has deleted its subshell meanwhile.
            self._delete(about[1], subshell)
            return
        stand_in.id = subshell
        if subshell is None:
            del self._stand_ins[about]
        self._release(about[1], stand_in)

    def _delete(self, target: str, subshell: str | None) -> None:
        if subshell:
            self._own.ask(target, "delete_subshell_request", {"subshell_id": subshell})

    def _release(self, target: str, stand_in: _StandIn) -> None:
        waiting, stand_in.waiting = stand_in.waiting, []
        for message in waiting:
            self._send(target, message, message.on_subshell(stand_in.id))

    # ------------------------------------------------------------------ what kernels say

    def note(self, target: str, request: KernelFrames, reply: KernelFrames) -> KernelFrames:
        """Take note of a reply about subshells; return it as front ends shall see it."""
        content = reply.content
        if content.get("status", "ok") != "ok":
            return reply
        match reply.type:
            case "create_subshell_reply":
                self._owners[str(content.get("subshell_id"))] = target
            case "delete_subshell_reply":
                self.deleted(str(request.content.get("subshell_id")))
            case "list_subshell_reply":
                own = {stand_in.id for stand_in in self._stand_ins.values()}
                listed = [one for one in content.get("subshell_id", ()) if one not in own]
                return reply.with_content({**content, "subshell_id": listed})
        return reply

    def deleted(self, subshell: str) -> None:
        """The front end wants no more of it: end what stands in for it."""
        self._owners.pop(subshell, None)
        for about in [about for about in self._stand_ins if about[0] == subshell]:
            stand_in = self._stand_ins.pop(about)
            self._delete(about[1], stand_in.id)
            stand_in.id = None
            self._release(about[1], stand_in)

    def lost(self, target: str) -> list[KernelFrames]:
        """The kernel at ``target`` is gone; return the messages that waited for it."""
        for one, owner in self._owners.items():
            self._owners[one] = None if owner == target else owner
        gone = [about for about in self._stand_ins if about[1] == target]
        return [message for about in gone for message in self._stand_ins.pop(about).waiting]
