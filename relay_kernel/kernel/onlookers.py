"""The ``relay`` comm: front ends are told how the notebook is, and may choose where cells run.

Invariant: nothing here runs while a message is being handled, but for what a page asks; changes are
gathered, so that cells cost the same whether or not somebody looks.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from relay_kernel.core.events import TargetForced
from relay_kernel.core.overview import COMM, WATCHED, Use, Watch, WishError, wish_of
from relay_kernel.kernel.comms import COMM_TYPES
from relay_kernel.kernel.overview import Observer
from relay_kernel.kernel.planes import Meter, PlaneWatch
from relay_kernel.link.clock import now

if TYPE_CHECKING:
    from relay_kernel.core.events import Event
    from relay_kernel.core.overview import Overview
    from relay_kernel.core.router import Router
    from relay_kernel.kernel.cells import Cells
    from relay_kernel.kernel.files import NotebookFiles
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.state import StateMover
    from relay_kernel.kernel.targets import TargetLink
    from relay_kernel.kernel.voice import Voice
    from relay_kernel.wire.kernel_frames import KernelFrames

#: Seconds for which the first change waits for others.
SOON = 0.05
#: Seconds between two overviews at least.
PACE = 0.25
#: Comms that are told, beside the one that is always open; then the oldest is closed.
MOST = 16


class Seen(Protocol):
    """What of R there is to see."""

    router: Router
    links: dict[str, TargetLink]
    state: StateMover
    cells: Cells
    files: NotebookFiles

    def emit(self, event: Event) -> None:
        """Take what a page chooses."""


class Onlookers:
    """Whoever has opened the comm, in any number of pages.

    The comm with the id ``relay`` is always open, and one message reaches all pages that use it:
    one that is reloaded, and so never closes what it opened, costs nothing.

    Args:
        front: the front ends.
        relay: what there is to see; see :class:`Seen`.
        voice: says that a cell is still busy, after an answer.
    """

    def __init__(self, front: FrontEnd, relay: Seen, voice: Voice) -> None:
        self._front = front
        self._relay = relay
        self._voice = voice
        self._observer = Observer(relay.router, relay.links, relay.state, relay.cells)
        self._planes = PlaneWatch(relay.files, self.changed)
        self._meter = Meter(relay.router, relay.links, self._observer.usage, self.changed)
        self.measured = self._meter.answered
        """Takes what an agent says of its machine."""
        self._watched_until = 0.0
        self._comms: list[str] = []
        self._told: Overview | None = None
        self._told_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def take(self, message: KernelFrames) -> bool:
        """Take a message of a front end; False: it is not for R."""
        if message.type == "comm_info_request":
            if message.content.get("target_name") != COMM:
                return False
            comms = {each: {"target_name": COMM} for each in [COMM, *self._comms]}
            self._front.answer(message, {"status": "ok", "comms": comms})
            self._voice.still_busy()
            return True
        if message.type not in COMM_TYPES or not self._is_ours(message):
            return False
        self._front.status("busy", message.header)
        try:
            self._handle(message)
        finally:
            self._front.status("idle", message.header)
            self._voice.still_busy()
        return True

    def _is_ours(self, message: KernelFrames) -> bool:
        comm = message.content.get("comm_id")
        opens = message.type == "comm_open" and message.content.get("target_name") == COMM
        return opens or comm == COMM or comm in self._comms

    def _handle(self, message: KernelFrames) -> None:
        content = message.content
        comm = str(content.get("comm_id"))
        if message.type == "comm_close":
            self._comms = [each for each in self._comms if each != comm]
            return
        self._admit(comm)
        try:
            wish = wish_of(content.get("data"), tuple(self._relay.router.names))
        except WishError as error:
            self._say(comm, {"error": str(error)}, message.header)
            return
        if isinstance(wish, Use):
            self._relay.emit(TargetForced(wish.target))
        elif isinstance(wish, Watch):
            self._watched_until = now() + WATCHED
            self._meter.watch(self._watched_until)
        self._told, self._told_at = self._look(), now()
        said = self._told.to_json()
        for each in {comm, *self._addressed()} if isinstance(wish, Use) else {comm}:
            self._say(each, said, message.header)

    def _admit(self, comm: str) -> None:
        if self._told is None:
            self._planes.begin()
        if comm != COMM and comm not in self._comms:
            self._comms.append(comm)
            for old in self._comms[:-MOST]:
                self._front.publish("comm_close", {"comm_id": old, "data": {}}, {})
            self._comms = self._comms[-MOST:]

    def _addressed(self) -> list[str]:
        return [COMM, *self._comms]

    def _say(self, comm: str, data: dict[str, Any], parent: dict[str, Any]) -> None:
        self._front.publish("comm_msg", {"comm_id": comm, "data": data}, parent)

    # ------------------------------------------------------------------ changes

    def _look(self) -> Overview:
        return self._observer.look(self._planes.view, self._planes.environments)

    def changed(self) -> None:
        """Something may have changed: look soon, if there is somebody."""
        self._observer.note_move()
        if self._told is not None and self._timer is None:
            wait = max(SOON, self._told_at + PACE - now())
            self._timer = asyncio.get_running_loop().call_later(wait, self._tell)

    def _tell(self) -> None:
        self._timer = None
        seen = self._look()
        if self._told is not None and self._is_news(seen, self._told):
            self._told, self._told_at = seen, now()
            said = seen.to_json()
            for comm in self._addressed():
                self._say(comm, said, {})

    def _is_news(self, seen: Overview, told: Overview) -> bool:
        """A round trip is no news by itself: it would keep an idle kernel from looking idle."""
        return seen != told if now() < self._watched_until else _lasting(seen) != _lasting(told)

    def close(self) -> None:
        """The notebook ends."""
        self._planes.close()
        self._meter.close()
        if self._timer:
            self._timer.cancel()


def _lasting(seen: Overview) -> Overview:
    targets = tuple(replace(t, rtt_ms=None, usage=None, since=None) for t in seen.targets)
    return replace(seen, targets=targets)
