"""The clock that sessions and leases count by."""

from __future__ import annotations

import time

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Seconds since some moment in the past; never goes back, and goes on while suspended.

    ``time.monotonic`` and the event loop's clock stand still while Linux sleeps. A machine that
    wakes up would take its links and its lease for as fresh as when it fell asleep. Where there is
    no such clock, it is ``time.monotonic``. Times of this clock and of the loop must not be mixed.
    """
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)
