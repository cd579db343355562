"""What kernels publish, on its way to front ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.model import Run
from relay_kernel.core.shown import under_shown_name
from relay_kernel.kernel.comms import COMM_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.kernel.cells import Cell, Cells
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.stirred import Stirred
    from relay_kernel.kernel.switchboard import Switchboard
    from relay_kernel.kernel.voice import Voice
    from relay_kernel.wire.kernel_frames import KernelFrames

#: Bytes of content that take longer to be read than to be passed on.
_LARGE = 64 << 10


class Outputs:
    """Shows each output once, whatever runs a cell, and however often.

    Args:
        began: called with a cell when its ``execute_input`` has been shown.
    """

    def __init__(
        self,
        front: FrontEnd,
        switchboard: Switchboard,
        cells: Cells,
        voice: Voice,
        stirred: Stirred,
        began: Callable[[Cell], None],
    ) -> None:
        self._front = front
        self._switchboard = switchboard
        self._cells = cells
        self._voice = voice
        self._stirred = stirred
        self._began = began

    def take(self, target: str, frames: KernelFrames, cell: Cell | None) -> None:
        """Take a message from IOPub of the kernel at ``target``; ``cell`` is what it is about."""
        seen = self._switchboard.look(target, frames)
        if seen is None:
            return
        if seen.type == "update_display_data" and self._cells.renamed:
            seen = seen.with_content(under_shown_name(seen.content, self._cells.renamed))
        if cell is None:
            self._take_other(target, seen)
        elif cell.run is Run.SILENT:
            if seen.type in COMM_TYPES:
                # No output: what shows it comes in a later cell. The cell itself ended long ago.
                self._front.send(seen.with_parent(b"{}"))
        elif cell.run is Run.FIRST and len(seen.body[3]) > _LARGE:
            # All of it is new. What is to be remembered of it can be read while it is on its way.
            self._front.send(seen)
            cell.shown.new(seen.type, seen.content)
        else:
            self._take_of(cell, seen)

    def _take_other(self, target: str, frames: KernelFrames) -> None:
        self._front.send(frames)
        if frames.type == "status" and frames.content.get("execution_state") == "idle":
            self._voice.still_busy()
            self._stirred.look(target, frames)

    def _take_of(self, cell: Cell, frames: KernelFrames) -> None:
        msg_type, content = frames.type, frames.content
        state = content.get("execution_state") if msg_type == "status" else None
        if state == "idle" and not cell.replied:
            # The target may be lost between the two, and then the cell goes on elsewhere: this idle
            # is not shown, and does not count as shown.
            cell.last = frames
            return
        new = cell.shown.new(msg_type, content)
        if new is None:
            return
        if (state == "idle" and cell.idle) or (state == "busy" and cell.busy):
            # R has said so itself.
            return
        cell.idle = cell.idle or state == "idle"
        cell.busy = cell.busy or state == "busy"
        self._front.send(frames if new is content else frames.with_content(new))
        if msg_type == "execute_input":
            self._voice.tell_rest(cell)
            self._began(cell)
