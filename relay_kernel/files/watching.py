"""Which watch a folder gets."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.files.pending import QUIET
from relay_kernel.files.rules import OWN
from relay_kernel.files.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

#: Filesystems to which others may write without this machine's kernel hearing of it.
_SHARED = ("nfs", "cifs", "smb", "9p", "fuse", "afs", "ceph", "gfs", "ocfs", "lustre", "vboxsf")
_MOUNTS = Path("/proc/self/mountinfo")


class NotifyWatch(Watch):
    """The watch of systems other than Linux, by ``watchfiles``. It hears also what is ignored."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = os.fsencode(root.resolve())
        self._stop = threading.Event()
        self._ears = threading.Thread(target=self._listen, name="folder-ears", daemon=True)

    def start(self, on_dirty: Callable[[], None]) -> None:
        """Begin."""
        super().start(on_dirty)
        self._ears.start()

    def _listen(self) -> None:
        from watchfiles import watch

        for changes in watch(
            os.fsdecode(self._root),
            watch_filter=None,
            debounce=50,
            step=20,
            stop_event=self._stop,
            raise_interrupt=False,
        ):
            now = time.monotonic()
            for _, name in changes:
                path = os.fsencode(name)[len(self._root) + 1 :]
                if path and path != OWN and not path.startswith(OWN + b"/"):
                    self.pending.mark(path, now, QUIET)
            self.wake()

    def close(self) -> None:
        """End both threads."""
        self._stop.set()
        self._ears.join()
        super().close()


def watch_for(root: Path) -> Watch:
    """The best watch that this system has for ``root``."""
    if sys.platform != "linux":
        return NotifyWatch(root)
    from relay_kernel.files.inotify import InotifyWatch

    try:
        return InotifyWatch(polls=is_shared(root))
    except OSError as error:
        return Watch(
            f"{root} cannot be watched ({error.strerror}): it is looked through now and then; "
            "raise fs.inotify.max_user_instances"
        )


def is_shared(root: Path) -> bool:
    """Whether ``root`` lies on a filesystem that other machines may write to."""
    device = root.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    for line in lines:
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == name:
            return kind.startswith(_SHARED)
    return False
