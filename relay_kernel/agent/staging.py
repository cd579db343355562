"""A snapshot on its way into a kernel: which of its chunks are still to come, and how it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.wire.message import Message

#: How often a kernel is given the same snapshot, while it finds chunks of it damaged.
TRIES = 3


@dataclass
class Staging:
    """One ``apply`` order, until the kernel holds its state."""

    order: Message
    missing: set[str]
    """Chunks that are not on this disk."""
    tries: int = 1
    gone: set[str] = field(default_factory=set)
    """Chunks that R cannot send: nobody has them any more."""

    @property
    def cell(self) -> int:
        """The cell whose state it is."""
        return int(self.order.head["cell"])

    @property
    def final(self) -> bool:
        """Whether the kernel has to do without the variables that are in bad chunks."""
        return bool(self.gone) or self.tries >= TRIES

    def came(self, key: str, *, gone: bool = False) -> bool:
        """A chunk came, or will never; returns whether it was the last one."""
        if key not in self.missing:
            return False
        self.missing.discard(key)
        if gone:
            self.gone.add(key)
        return not self.missing

    def again(self, damaged: list[str]) -> None:
        """The kernel found chunks damaged, and they were removed."""
        self.tries += 1
        self.missing = set(damaged)
