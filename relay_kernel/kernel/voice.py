"""What R itself says in a cell: notices, and the begin and end of one that has no kernel.

Invariant: a cell gets one busy, one reply and one idle, whoever says them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay_kernel.core.model import Run

if TYPE_CHECKING:
    from relay_kernel.core.router import Router
    from relay_kernel.kernel.cells import Cell, Cells
    from relay_kernel.kernel.frontend import FrontEnd


class Voice:
    """Speaks to front ends in R's name. What was said already is not said again."""

    def __init__(self, front: FrontEnd, router: Router, cells: Cells) -> None:
        self._front = front
        self._router = router
        self._cells = cells
        self.execution_count = 0
        """Of the last cell that a kernel answered."""

    def begin(self, cell: Cell) -> None:
        """The cell is busy, as far as front ends are concerned."""
        if not cell.busy:
            cell.busy = True
            self._front.status("busy", cell.request.header)
        self.tell_rest(cell)

    def end(self, cell: Cell, content: dict[str, Any]) -> None:
        """Give the cell its reply and its idle, as far as it lacks them."""
        cell.ended = True
        if not cell.replied:
            cell.replied = True
            metadata = {"relay": self.about(cell), "status": content["status"]}
            self._front.reply(cell.request, content, metadata)
        if not cell.idle:
            cell.idle = True
            self._front.status("idle", cell.request.header)

    def fail(self, cell: Cell, name: str, text: str) -> None:
        """End the cell with an error."""
        content = {"ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}
        self.begin(cell)
        if not cell.silent:
            self._front.publish("error", content, cell.request.header)
        extra = {"execution_count": self.execution_count, "user_expressions": {}, "payload": []}
        self.end(cell, {"status": "error", **content, **extra})

    def abort(self, cell: Cell) -> None:
        """End the cell as one behind an error ends."""
        self.begin(cell)
        self.end(cell, {"status": "aborted"})

    def about(self, cell: Cell) -> dict[str, Any]:
        """``metadata.relay`` of the cell's reply."""
        return {
            "target": cell.target or self._router.primary,
            "epoch": cell.epoch or self._router.epoch,
            "cell": cell.number,
            "reason": cell.reason,
        }

    def beside(self, target: str) -> dict[str, Any]:
        """``metadata.relay`` of what ran on a subshell, beside the cells."""
        return {"target": target, "epoch": self._router.epoch, "cell": None, "reason": "subshell"}

    def tell(self, cell: Cell, text: str) -> None:
        """Show a notice in the cell; it waits until the cell has begun."""
        cell.untold.append(text)
        if cell.busy:
            self.tell_rest(cell)

    def tell_rest(self, cell: Cell) -> None:
        """The cell has begun: show the notices that waited for that."""
        lines, cell.untold = cell.untold, []
        if lines and not cell.silent:
            text = "".join(f"[relay] {line}\n" for line in lines)
            self._front.publish("stream", {"name": "stderr", "text": text}, cell.request.header)

    def show(self, cell: Cell, text: str, html: str, *, ok: bool) -> None:
        """Show what a line of the cell is answered, as HTML too if there is any."""
        header = cell.request.header
        if html:
            data = {"text/plain": text, "text/html": html}
            content = {"data": data, "metadata": {}, "transient": {}}
            self._front.publish("display_data", content, header)
        else:
            stream = {"name": "stdout" if ok else "stderr", "text": text + "\n"}
            self._front.publish("stream", stream, header)

    def still_busy(self) -> None:
        """Something beside the running cell ended; front ends show the last state they hear."""
        running = self._router.running
        if running and running.run is not Run.SILENT and not self._cells[running.number].replied:
            self._front.status("busy", {})
