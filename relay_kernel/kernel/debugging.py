"""The debugger, kept alike at all targets.

A front end attaches the debugger once, and sets a breakpoint once. So R repeats what it is told to
the kernels that do not run the cells: wherever the role moves, and whatever is lost, the breakpoint
is there already. All kernels of a notebook call the file of a cell by the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay_kernel.kernel.info import DEBUGGER, supports

if TYPE_CHECKING:
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.own import OwnRequests
    from relay_kernel.wire.kernel_frames import KernelFrames

#: What makes a debugger what it is, in the order in which a new one is told.
_SCRIPT = ("initialize", "attach", "dumpCell", "setBreakpoints", "setExceptionBreakpoints")


class Debugging:
    """Follows the debugger of the primary, and has the others do the same.

    Args:
        infos: by target, the kernel_info of its kernel.
    """

    def __init__(self, front: FrontEnd, own: OwnRequests, infos: dict[str, dict[str, Any]]) -> None:
        self._front = front
        self._own = own
        self._infos = infos
        #: What a new kernel must be told, by command and what it is about.
        self._told: dict[tuple[str, str], dict[str, Any]] = {}
        self._attached: set[str] = set()
        self._stopped: set[int] = set()
        self._at = ""

    # ------------------------------------------------------------------ requests

    def asked(self, target: str, request: KernelFrames) -> None:
        """A front end asks this of the debugger of the primary: ask it of the others as well.

        At once, and not when the primary has done it: should that be lost, they are ready.
        """
        asked = request.content
        command = str(asked.get("command"))
        if command == "disconnect":
            self._detach(target)
        if command not in _SCRIPT:
            return
        self._at = target
        self._told[command, _about(asked)] = asked
        for other in self._infos:
            if other in self._attached and other != target:
                self._own.ask(other, "debug_request", asked)
        self._attached.add(target)
        for other in self._infos:
            self.kernel_started(other)

    def replied(self, target: str, request: KernelFrames, reply: KernelFrames) -> None:
        """Where the primary's debugger does not start, none does."""
        if request.content.get("command") == "initialize" and not reply.content.get("success"):
            self._detach(target)

    def _detach(self, target: str) -> None:
        asked = {"type": "request", "seq": 0, "command": "disconnect", "arguments": {}}
        for other in self._attached - {target}:
            self._own.ask(other, "debug_request", asked)
        self._attached.clear()
        self._told.clear()
        self._stopped.clear()

    def kernel_started(self, target: str) -> None:
        """A kernel is up: tell it what the others were told, if it was not."""
        if not self._told or target in self._attached:
            return
        if not supports(self._infos[target], DEBUGGER):
            return
        self._attached.add(target)
        for asked in sorted(self._told.values(), key=lambda one: _SCRIPT.index(one["command"])):
            self._own.ask(target, "debug_request", asked)

    def refuse(self, request: KernelFrames, primary: str) -> bool:
        """Answer a request that a kernel would leave open, and return whether it was one.

        ipykernel does not answer a ``disconnect`` where nothing is attached.
        """
        asked = request.content
        if asked.get("command") != "disconnect" or primary in self._attached:
            return False
        about = {"command": "disconnect", "request_seq": asked.get("seq", 0)}
        self._front.answer(request, {"type": "response", **about, "success": True})
        return True

    # ------------------------------------------------------------------ events

    def event(self, target: str, frames: KernelFrames, *, own: bool) -> KernelFrames | None:
        """Take note of a ``debug_event``; return it if front ends shall see it.

        Args:
            target: whose debugger says so.
            frames: the event.
            own: its parent is a request of R's, of which front ends know nothing.
        """
        if target != self._at:
            return None
        content = frames.content
        name, body = content.get("event"), content.get("body") or {}
        if name == "stopped":
            self._stopped.add(int(body.get("threadId", 0)))
        elif name == "continued":
            self._stopped.clear()
        if own and name == "initialized":
            return None
        return frames.with_parent(b"{}") if own else frames

    def moved(self, primary: str) -> None:
        """The role is at ``primary`` now: what is stopped elsewhere is no business of the user's.

        Where the debugger cannot be there, front ends are told that it has ended.
        """
        if not self._told or primary == self._at:
            return
        for thread in self._stopped:
            self._publish("continued", {"threadId": thread, "allThreadsContinued": True})
        self._stopped.clear()
        self._at = primary
        if primary in self._infos and not supports(self._infos[primary], DEBUGGER):
            self._publish("terminated", {})
            self._detach(primary)

    def lost(self, target: str) -> None:
        """The kernel at ``target`` is gone."""
        self._attached.discard(target)
        if target == self._at and self._stopped:
            self._at = ""

    def _publish(self, event: str, body: dict[str, Any]) -> None:
        content = {"type": "event", "event": event, "seq": 0, "body": body}
        self._front.publish("debug_event", content, {})


def _about(asked: dict[str, Any]) -> str:
    """What a command is about: a later one about the same takes its place."""
    arguments = asked.get("arguments") or {}
    if asked["command"] == "dumpCell":
        return str(arguments.get("code"))
    return str((arguments.get("source") or {}).get("path", ""))
