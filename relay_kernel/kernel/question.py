"""R's own question to a user, over the stdin channel of the cell that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.wire.kernel_frames import KernelFrames

_YES = frozenset({"y", "yes"})


@dataclass
class Question:
    """At most one is open at a time: the kernel that could have asked another is lost."""

    front: FrontEnd
    cell: int | None = None
    """The cell in which the user is being asked."""

    def ask(self, cell: int, request: KernelFrames, text: str) -> bool:
        """Ask yes or no; False where the front end that sent ``request`` cannot be asked."""
        if not request.content.get("allow_stdin"):
            return False
        self.cell = cell
        content = {"prompt": f"[relay] {text} [y/N] ", "password": False}
        self.front.ask(request, content)
        return True

    def answered(self, message: KernelFrames) -> bool | None:
        """Take a message from the stdin channel; None if it answers nothing of ours."""
        if self.cell is None or message.type != "input_reply":
            return None
        self.cell = None
        return str(message.content.get("value", "")).strip().lower() in _YES

    def withdraw(self) -> None:
        """It was settled otherwise."""
        self.cell = None
