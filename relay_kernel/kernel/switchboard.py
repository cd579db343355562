"""Requests that are no cells: which kernel each of them goes to, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.core.model import LOCAL, Phase
from relay_kernel.wire.kernel_frames import KernelFrames, pack

if TYPE_CHECKING:
    from relay_kernel.core.router import Router
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.targets import TargetLink

#: Requests that ask about the state and do not change it: any kernel that holds it may answer.
QUESTIONS = frozenset(
    {"complete_request", "inspect_request", "is_complete_request", "history_request"}
)

#: What a kernel without subshells (ipykernel 6) would leave without an answer.
OF_SUBSHELLS = frozenset(
    {"create_subshell_request", "delete_subshell_request", "list_subshell_request"}
)
NO_SUBSHELLS = {
    "status": "error",
    "ename": "NoSubshells",
    "evalue": "the kernel that runs the cells has no subshells: they came with ipykernel 7",
    "traceback": [],
}


@dataclass
class Open:
    """A request that was passed on, and whose answer or idle has not come."""

    message: KernelFrames
    target: str
    answered: bool = False
    """Its reply has come, or it has none."""
    idle: bool = False
    """The kernel is done with it."""
    last: KernelFrames | None = None
    """The idle of a question, which came before its answer and is passed on after it."""
    given_up: bool = False
    """R has ended it: what its kernel may still say of it is stale."""


class Switchboard:
    """Passes requests on as they are; reads no more of one than it takes to see where it belongs.

    Args:
        infos: by target, the kernel_info of its kernel; a target without one has no kernel yet.
    """

    def __init__(
        self,
        router: Router,
        links: dict[str, TargetLink],
        infos: dict[str, dict[str, Any]],
        front: FrontEnd,
    ) -> None:
        self._router = router
        self._front = front
        self._links = links
        self._infos = infos
        self._waiting: list[tuple[str, KernelFrames]] = []
        self._behind: list[tuple[int, KernelFrames]] = []
        self._open: dict[str, Open] = {}
        self._overdue: asyncio.TimerHandle | None = None
        self._comms: dict[str, str] = {}
        self._subshells: dict[str, str] = {}

    def take(self, message: KernelFrames) -> None:
        """Send a request to the kernel it belongs to."""
        primary = self._router.primary
        subshell = message.header.get("subshell_id")
        if subshell:
            self._pass_on(self._subshells.get(subshell, primary), message)
        elif message.type.startswith("comm_") and message.type != "comm_info_request":
            self._pass_on(self._owner_of_comm(message), message)
        elif message.channel == "shell":
            self._ask(message)
        elif message.type in OF_SUBSHELLS and self._lacks_subshells(primary):
            # Front ends were told what the server's kernel can; this one may be older.
            self._front.answer(message, NO_SUBSHELLS)
        else:
            self._pass_on(primary, message)

    def _lacks_subshells(self, target: str) -> bool:
        info = self._infos.get(target)
        return info is not None and "kernel subshells" not in info.get("supported_features", ())

    def _owner_of_comm(self, message: KernelFrames) -> str:
        comm = str(message.content.get("comm_id"))
        if message.type == "comm_open":
            self._comms[comm] = self._router.primary
        return self._comms.get(comm, self._router.primary)

    def _ask(self, message: KernelFrames) -> None:
        """Questions go to a kernel that is free, else to their place behind the queued cells."""
        away = self._router.running and self._router.primary != LOCAL
        if away and message.type in QUESTIONS:
            self._pass_on(LOCAL, message)
        elif self._router.queue:
            self._behind.append((self._router.queue[-1].number, message))
        else:
            self._pass_on(self._reachable(), message)

    def _reachable(self) -> str:
        """The primary, or the standby that stands in for it while it is quiet."""
        primary = self._router.primary
        return LOCAL if self._router.targets[primary].phase is Phase.QUIET else primary

    def _pass_on(self, target: str, message: KernelFrames) -> None:
        if target not in self._infos:
            self._waiting.append((target, message))
            return
        if message.channel != "stdin":
            answered = not message.type.endswith("_request")
            self._open[message.id] = Open(message, target, answered)
        self._links[target].send(pack(message))

    def release(self, number: int) -> None:
        """Send the requests whose place was right behind the cell ``number``."""
        ready = [message for after, message in self._behind if after <= number]
        if ready:
            self._behind = [(after, m) for after, m in self._behind if after > number]
        for message in ready:
            self._pass_on(self._reachable(), message)

    def kernel_started(self) -> None:
        """Send what waited for a kernel that is up now."""
        waiting, self._waiting = self._waiting, []
        for target, message in waiting:
            self._pass_on(target, message)

    def look(self, target: str, frames: KernelFrames) -> bool:
        """Take note of what a kernel says; False if it is stale, and must not be passed on."""
        request = self._open.get(frames.parent_id)
        if request and (request.given_up or request.target != target):
            return False
        if frames.channel == "iopub":
            if frames.type == "comm_open":
                self._comms[str(frames.content.get("comm_id"))] = target
            elif request and frames.type == "status":
                idle = frames.content.get("execution_state") == "idle"
                if idle and not request.answered and request.message.type in QUESTIONS:
                    # Its target may be lost between the two, and then another is asked.
                    request.last = frames
                    return False
                request.idle = idle
        elif frames.type == "create_subshell_reply":
            self._subshells[str(frames.content.get("subshell_id"))] = target
        if request:
            request.answered |= frames.channel in {"shell", "control"}
            if request.answered and request.idle:
                del self._open[frames.parent_id]
        return True

    def idle_after(self, answer: KernelFrames) -> KernelFrames | None:
        """The idle that waited for an answer, which has been passed on now."""
        request = self._open.get(answer.parent_id)
        if request is None or not request.answered or request.last is None:
            return None
        del self._open[answer.parent_id]
        return request.last

    # ------------------------------------------------------------------ what nobody will answer

    def watch(self) -> None:
        """See to it that no request waits for a quiet kernel for longer than a cell does."""
        waiting = frozenset(request.message.id for request in self._out_of_reach())
        if waiting and self._overdue is None:
            loop = asyncio.get_running_loop()
            patience = self._router.policy.wait_at_submit
            self._overdue = loop.call_later(patience, self._end_overdue, waiting)

    def _out_of_reach(self) -> list[Open]:
        quiet = {name for name, t in self._router.targets.items() if t.phase is Phase.QUIET}
        return [each for each in self._open.values() if each.target in quiet and not each.given_up]

    def _end_overdue(self, waiting: frozenset[str]) -> None:
        self._overdue = None
        for request in self._out_of_reach():
            if request.message.id in waiting:
                self._end(request, self._router.targets[request.target].describe())
                request.given_up = True
        self.watch()

    def _end(self, request: Open, why: str) -> None:
        self._front.end(request.message, why, answered=request.answered, idle=request.idle)

    def lost(self, target: str, reason: str, *, for_good: bool) -> None:
        """The kernel at ``target`` is gone: ask another what it was asked, or end the request.

        Args:
            target: where it was.
            reason: why it is gone.
            for_good: no other will start there soon.
        """
        self._comms = {comm: owner for comm, owner in self._comms.items() if owner != target}
        self._subshells = {s: owner for s, owner in self._subshells.items() if owner != target}
        gone = [each for each in self._open.values() if each.target == target]
        if for_good:
            gone += [Open(message, owner) for owner, message in self._waiting if owner == target]
            self._waiting = [(owner, m) for owner, m in self._waiting if owner != target]
        for request in gone:
            self._open.pop(request.message.id, None)
            if request.given_up:
                continue
            is_question = request.message.type in QUESTIONS and not request.answered
            if is_question and not (for_good and target == LOCAL):
                self._pass_on(LOCAL, request.message)
            else:
                self._end(request, f"{target} was lost ({reason})")
