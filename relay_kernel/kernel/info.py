"""Answers kernel_info_request in R itself, so that no busy or lost kernel keeps one waiting.

And connect_request, since the ports that a front end may ask for are R's.
"""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.wire.kernel_frames import KernelFrames

#: Features, as kernel_info names them.
DEBUGGER = "debugger"
SUBSHELLS = "kernel subshells"


def supports(info: dict[str, Any], feature: str) -> bool:
    """Whether a kernel that said ``info`` of itself has a feature.

    A kernel that is older than the list of features (protocol 5.5) may have a debugger.
    """
    features = info.get("supported_features")
    return feature == DEBUGGER if features is None else feature in features


#: Seconds that a first answer waits for a subscriber of IOPub.
LISTENS = 0.5
#: Seconds for which a request keeps its place behind cells that the same client has sent before.
KEEPS_PLACE = 0.75


class InfoDesk:
    """Knows what the kernels said of themselves when they started.

    Args:
        front: asks, and gets the answers.
        primary: returns the kernel_info of the kernel that runs the cells; None while it has said
            nothing.
        on_answered: called after each answer, which had an idle of its own.
    """

    def __init__(
        self,
        front: FrontEnd,
        primary: Callable[[], dict[str, Any] | None],
        on_answered: Callable[[], None],
    ) -> None:
        self._front = front
        self._primary = primary
        self._on_answered = on_answered
        self._info: dict[str, Any] = {}
        self._heard = False
        front.on_subscriber = self.hear
        self._waiting: list[KernelFrames] = []
        self._behind: list[tuple[int, KernelFrames]] = []

    def take(self, request: KernelFrames) -> None:
        """Answer a request, at once if any kernel ever started here.

        The very first answer waits until somebody listens on IOPub. Whoever has it sends a cell
        next, and a client that was there before the kernel connects each of its sockets again by
        itself, up to 0.1 s apart: IOPub may be the last, and the outputs be gone.
        """
        if self._info and not self._heard and not self._waiting:
            asyncio.get_running_loop().call_later(LISTENS, self.hear)
        if self._info and self._heard:
            self._front.answer(request, {**(self._primary() or self._info), "status": "ok"})
            self._on_answered()
        else:
            self._waiting.append(request)

    def take_behind(self, number: int, request: KernelFrames) -> None:
        """Answer a request after the cell ``number``, or before it if that takes too long.

        A client that sends several requests at once may count on their order; one that asks how
        a busy kernel is must not wait for it.
        """
        place = (number, request)
        self._behind.append(place)
        asyncio.get_running_loop().call_later(KEEPS_PLACE, self._wait_no_longer, place)

    def _wait_no_longer(self, place: tuple[int, KernelFrames]) -> None:
        if place in self._behind:
            self._behind.remove(place)
            self.take(place[1])

    def release(self, number: int) -> None:
        """Answer the requests whose place was right behind the cell ``number``."""
        ready = [place for place in self._behind if place[0] <= number]
        for place in ready:
            self._wait_no_longer(place)

    def hear(self) -> None:
        """Somebody listens on IOPub."""
        self._heard = True
        self._answer_waiting()

    def learn(self, info: dict[str, Any]) -> None:
        """The server's kernel is up, and says this of itself."""
        self._info = info
        self._answer_waiting()

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self.take(request)

    def do_without(self, reason: str) -> None:
        """The server's kernel cannot start; front ends have to be told something to go on."""
        if not self._info:
            self.learn(_stand_in(reason))
            self._info = {}


def _stand_in(reason: str) -> dict[str, Any]:
    return {
        "protocol_version": "5.4",
        "implementation": "relay",
        "implementation_version": "0",
        "language_info": {
            "name": "python",
            "version": platform.python_version(),
            "mimetype": "text/x-python",
            "file_extension": ".py",
        },
        "banner": f"relay-kernel: {reason}",
        "help_links": [],
    }
