"""Requests that are no cells: which kernel each of them goes to, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay_kernel.core.model import LOCAL, Phase
from relay_kernel.kernel.comms import COMM_TYPES, Comms
from relay_kernel.kernel.debugging import Debugging
from relay_kernel.kernel.info import DEBUGGER, SUBSHELLS, supports
from relay_kernel.kernel.own import OwnRequests
from relay_kernel.kernel.subshells import Subshells
from relay_kernel.wire.kernel_frames import KernelFrames, pack

if TYPE_CHECKING:
    from relay_kernel.core.router import Router
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.targets import TargetLink

#: Requests that ask about the state and do not change it: any kernel that holds it may answer.
QUESTIONS = frozenset(
    {"complete_request", "inspect_request", "is_complete_request", "history_request"}
)

#: Requests that a kernel replies to; what else there is has no more than busy and idle.
ANSWERED = QUESTIONS | {
    *("execute_request", "comm_info_request", "kernel_info_request", "connect_request"),
    *("debug_request", "usage_request", "interrupt_request", "shutdown_request"),
    *("create_subshell_request", "delete_subshell_request", "list_subshell_request"),
}


#: Requests that a kernel without the feature does not reply to at all.
UNKNOWN_TO_SOME = {
    "create_subshell_request": SUBSHELLS,
    "list_subshell_request": SUBSHELLS,
    "debug_request": DEBUGGER,
}

#: What that means to a person.
LACKING = {
    SUBSHELLS: "subshells: they came with ipykernel 7",
    DEBUGGER: "debugger: its environment lacks debugpy",
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
    rewritten: bool = False
    """The kernel has it under another header, which it must not show to front ends."""


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
        self._waiting: list[tuple[str, KernelFrames, KernelFrames | None]] = []
        self._behind: list[tuple[int, KernelFrames]] = []
        self._open: dict[str, Open] = {}
        self._asker: str | None = None
        """Whose kernel last asked the user for input."""
        self._overdue: dict[bool, asyncio.TimerHandle] = {}
        self._comms = Comms(front)
        self._own = OwnRequests(front, links)
        self._subshells = Subshells(front, self._own, infos, self._pass_on)
        self.debugging = Debugging(front, self._own, infos)

    def take(self, message: KernelFrames) -> None:
        """Send a request to the kernel it belongs to."""
        primary = self._router.primary
        if message.type in COMM_TYPES:
            self._take_comm(message, at_once=False)
        elif message.channel == "stdin":
            self._pass_on(self._asker or primary, message)
        elif message.header.get("subshell_id"):
            self._take_subshell(message, str(message.header["subshell_id"]), {primary})
        elif message.type == "delete_subshell_request":
            everywhere = set(self._links)
            self._take_subshell(message, str(message.content.get("subshell_id")), everywhere)
        elif message.channel == "shell":
            self._ask(message)
        elif message.type in UNKNOWN_TO_SOME and not self._has(primary, message.type):
            text = f"the kernel at {primary} has no {LACKING[UNKNOWN_TO_SOME[message.type]]}"
            self._front.refuse(message, "NotImplementedError", text)
        elif message.type == "debug_request":
            self._take_debugger(primary, message)
        else:
            self._pass_on(primary, message)

    def _take_debugger(self, primary: str, message: KernelFrames) -> None:
        if not self.debugging.refuse(message, primary):
            self._pass_on(primary, message)
            self.debugging.asked(primary, message)

    def _take_comm(self, message: KernelFrames, *, at_once: bool) -> None:
        """Pass a comm's message on.

        A new comm keeps its place behind queued cells, which may make its kind known. What is said
        to one that is there does not: the cell that runs may await it, as a kernel allows.
        """
        primary, subshell = self._router.primary, message.header.get("subshell_id")
        queue = self._router.queue
        if queue and not subshell and not at_once and self._comms.of(message) is None:
            self._behind.append((queue[-1].number, message))
            return
        target = self._comms.owner(message, primary)
        if subshell and not self._subshells.known(subshell):
            self._subshells.refuse(message, primary)
        elif subshell and self._subshells.owner(subshell) != target:
            self._subshells.pass_on(subshell, target, message)
        else:
            self._pass_on(target, message)

    def _take_subshell(self, message: KernelFrames, subshell: str, where: set[str]) -> None:
        owner = self._subshells.owner(subshell)
        if owner in where:
            self._pass_on(owner, message)
        elif message.type == "delete_subshell_request" and self._subshells.known(subshell):
            self._subshells.deleted(subshell)
            self._front.answer(message, {"status": "ok"})
        else:
            self._subshells.refuse(message, self._router.primary)

    def _has(self, target: str, msg_type: str) -> bool:
        """Whether the kernel at ``target`` answers this request, as far as it has said so."""
        info = self._infos.get(target)
        return info is None or supports(info, UNKNOWN_TO_SOME[msg_type])

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

    def _pass_on(
        self, target: str, message: KernelFrames, as_sent: KernelFrames | None = None
    ) -> None:
        if target not in self._infos:
            self._waiting.append((target, message, as_sent))
            return
        if message.channel != "stdin":
            answered = message.type not in ANSWERED
            rewritten = as_sent is not None
            self._open[message.id] = Open(message, target, answered, rewritten=rewritten)
        self._links[target].send(pack(as_sent or message))

    def release(self, number: int) -> None:
        """Send the requests whose place was right behind the cell ``number``."""
        ready = [message for after, message in self._behind if after <= number]
        if ready:
            self._behind = [(after, m) for after, m in self._behind if after > number]
        for message in ready:
            if message.type in COMM_TYPES:
                self._take_comm(message, at_once=True)
            else:
                self._pass_on(self._reachable(), message)

    def kernel_started(self, target: str) -> None:
        """Send what waited for the kernel at ``target``, which is up now."""
        self.debugging.kernel_started(target)
        waiting, self._waiting = self._waiting, []
        for owner, message, as_sent in waiting:
            self._pass_on(owner, message, as_sent)

    def look(self, target: str, frames: KernelFrames) -> KernelFrames | None:
        """Take note of what a kernel says.

        Returns:
            It, as front ends shall see it; None if they shall not: it is stale, comes later, or is
            about something that R asked itself.
        """
        own = self._own.take(frames)
        if frames.type == "debug_event":
            return self.debugging.event(target, frames, own=own)
        if own:
            return None
        request = self._open.get(frames.parent_id)
        stale = request is not None and (request.given_up or request.target != target)
        if frames.channel == "iopub" and frames.type in COMM_TYPES:
            self._comms.note(target, frames)
            if stale:
                # A widget goes on, also where the message that it answers has been given up.
                return frames.with_parent(b"{}")
        if stale:
            return None
        if frames.channel == "stdin":
            self._asker = target
        return self._look_at_answer(target, request, frames) if request else frames

    def _look_at_answer(
        self, target: str, request: Open, frames: KernelFrames
    ) -> KernelFrames | None:
        if frames.channel == "iopub" and frames.type == "status":
            idle = frames.content.get("execution_state") == "idle"
            if idle and not request.answered and request.message.type in QUESTIONS:
                # Its target may be lost between the two, and then another is asked.
                request.last = frames
                return None
            request.idle = idle
        elif frames.channel in {"shell", "control"}:
            request.answered = True
            frames = self._reply(target, request.message, frames)
        if request.answered and request.idle:
            del self._open[frames.parent_id]
        return frames.with_parent(request.message.body[0]) if request.rewritten else frames

    def _reply(self, target: str, request: KernelFrames, reply: KernelFrames) -> KernelFrames:
        if reply.type == "comm_info_reply":
            return self._comms.with_others(target, request, reply)
        if reply.type.endswith("_subshell_reply"):
            return self._subshells.note(target, request, reply)
        if reply.type == "debug_reply":
            self.debugging.replied(target, request, reply)
        return reply

    def at_work(self) -> set[str]:
        """Where a kernel is at what a widget has told it: code of the user that is in no cell."""
        return {each.target for each in self._open.values() if each.message.type in COMM_TYPES}

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
        policy = self._router.policy
        self._watch(policy.wait_at_submit, of_cells=False)
        self._watch(policy.lost_after, of_cells=True)

    def _watch(self, patience: float, *, of_cells: bool) -> None:
        waiting = frozenset(request.message.id for request in self._out_of_reach(of_cells))
        if waiting and of_cells not in self._overdue:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(patience, self._end_overdue, waiting, of_cells)
            self._overdue[of_cells] = timer

    def _out_of_reach(self, of_cells: bool) -> list[Open]:
        """What waits for a quiet kernel: cells of subshells, which may be at work, or the rest."""
        quiet = {name for name, t in self._router.targets.items() if t.phase is Phase.QUIET}
        return [
            each
            for each in self._open.values()
            if each.target in quiet
            and not each.given_up
            and (each.message.type == "execute_request") is of_cells
        ]

    def _end_overdue(self, waiting: frozenset[str], of_cells: bool) -> None:
        del self._overdue[of_cells]
        for request in self._out_of_reach(of_cells):
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
        self._asker = None if self._asker == target else self._asker
        self._comms.lost(target)
        self._own.lost(target)
        self.debugging.lost(target)
        unsent = self._subshells.lost(target)
        gone = [each for each in self._open.values() if each.target == target]
        gone += [Open(message, target, answered=True) for message in unsent]
        if for_good:
            gone += [Open(message, owner) for owner, message, _ in self._waiting if owner == target]
            self._waiting = [each for each in self._waiting if each[0] != target]
        for request in gone:
            self._open.pop(request.message.id, None)
            if request.given_up:
                continue
            is_question = request.message.type in QUESTIONS and not request.answered
            if is_question and not (for_good and target == LOCAL):
                self._pass_on(LOCAL, request.message)
            else:
                self._end(request, f"{target} was lost ({reason})")
