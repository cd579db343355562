"""Which components changed while they were packed: threads of the user may be at work on them.

Such a component is packed all the same, and what it holds is of no single moment. It is named, so
that a person can know.
"""

from __future__ import annotations

import threading
import time

#: Bytes. A component is packed a second time to see whether it stands still; not a larger one.
_LOOKED_AT = 1 << 24
#: Seconds that a thread is given to go on.
_A_MOMENT = 0.001
#: Packages whose threads do nothing to values of the user: that of tqdm only looks at its bars.
_MACHINERY = frozenset(("zmq", "ipykernel", "IPython", "tqdm"))


class Threads:
    """The threads of this kernel that are not its own.

    It looks when it is made; the threads there are then are not the user's.
    """

    def __init__(self):
        self._before = frozenset(map(id, threading.enumerate()))

    def count(self):
        """Return how many threads of the user run."""
        return sum(
            id(thread) not in self._before and not _is_kernels(thread)
            for thread in threading.enumerate()
        )


def _is_kernels(thread):
    """Return whether the kernel began a thread later on: for a subshell, or for large messages."""
    return (
        thread.name.startswith("subshell-")
        or type(thread).__module__.partition(".")[0] in _MACHINERY
    )


def look_again(scan):
    """Pack once more what is new or changed, and note in ``scan.live`` what is another by now."""
    time.sleep(_A_MOMENT)
    for piece in scan.pieces:
        if piece.dump is None or piece.record is not None:
            continue
        if piece.dump.size > _LOOKED_AT:
            continue
        try:
            again = scan.pack(piece.roots)
        except Exception:
            scan.live.update(piece.roots)
            continue
        if again.marks != piece.dump.marks:
            scan.live.update(piece.roots)
        again.let_go()
