"""What an agent may do for one notebook: nothing of an older epoch, and nothing for long without R.

A lease (Gray and Cheriton, 1989) makes a cut-off agent stop by itself before R gives its role away.
Both count from the same ping: the agent from the moment it sent it, R from the later one at which
it heard it, and the agent's term is the shorter one. So no clock has to agree with another; each
has to run, within a quarter, at the right speed, in suspend too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.core.model import Policy

#: How much of the time after which R gives a role away the agent may use itself.
SHARE = 0.75


@dataclass(frozen=True)
class Terms:
    """How long an agent may act without R, in seconds; None: for ever."""

    busy: float | None = None
    """With a cell running."""
    idle: float | None = None


def terms(policy: Policy) -> Terms:
    """The lease that R grants: it ends before R gives anything away."""
    waits = policy.lost_after, policy.wait_at_submit
    return Terms(*(SHARE * wait if wait > 0 else None for wait in waits))


def heartbeat(policy: Policy, wished: float) -> float:
    """Seconds between pings: as wished, or as often as a lease must be renewed."""
    given = terms(policy)
    return min([wished, *(term / 3 for term in (given.busy, given.idle) if term is not None)])


@dataclass
class Fence:
    """One agent's leave to act for one notebook.

    Times are seconds of any one clock that counts suspend.
    """

    epoch: int = 0
    terms: Terms = Terms()
    busy: bool = False
    """Whether a cell runs here."""
    _renewed: float | None = None

    def admit(self, epoch: int) -> bool:
        """Whether an order of ``epoch`` may be carried out; raises ours to it if so."""
        if epoch < self.epoch:
            return False
        self.epoch = epoch
        return True

    def renew(self, sent: float) -> None:
        """R has answered what was sent at ``sent``: it knew of us then, and later."""
        self._renewed = sent if self._renewed is None else max(self._renewed, sent)

    def next_deadline(self) -> float | None:
        """When the lease ends, unless it is renewed; None: never."""
        term = self.terms.busy if self.busy else self.terms.idle
        return None if term is None or self._renewed is None else self._renewed + term

    def is_closed(self, now: float) -> bool:
        """Whether the lease has ended: nothing may be begun, and what runs must stand still."""
        deadline = self.next_deadline()
        return deadline is not None and now >= deadline
