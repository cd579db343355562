"""What R and an agent see of the way between them, whatever that is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.wire.message import Message


class Carrier(Protocol):
    """One end of a way on which messages arrive once and in order."""

    bulk_source: Callable[[], Message | None] | None
    """Asked for the next bulk message whenever there is room for one; None: no more now."""

    @property
    def linked(self) -> bool:
        """Whether what is sent now is under way at once."""

    @property
    def rtt(self) -> float | None:
        """Seconds of the last round trip; None where there is none to speak of."""

    @property
    def answered_at(self) -> float | None:
        """When the newest ping that was answered was sent; None before any was."""

    def send(self, message: Message) -> None:
        """Send a message, now or when that is possible again."""

    def flush(self) -> None:
        """The bulk source has something new."""

    def part(self, reason: str) -> None:
        """Say goodbye."""
