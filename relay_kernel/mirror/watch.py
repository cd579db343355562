"""Keeps the mirrors in line while a process runs: looks whether anything has changed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager

from relay_kernel.mirror.generated import PREFIX, read_spec
from relay_kernel.mirror.mirroring import Report, is_installed, mirror_specs
from relay_kernel.mirror.originals import interpreters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from relay_kernel.mirror.originals import Finder

#: Seconds between two looks. Each costs a few system calls a kernelspec.
LOOK = 0.5
#: Seconds between two questions to a manager that knows more than the disk: they may be slow.
ASK = 10.0
#: Seconds until what failed is tried again.
AGAIN = 60.0


class Watch(threading.Thread):
    """A thread that writes mirrors when an original appears, changes or goes.

    It looks instead of being told: kernels folders lie on any file system, and need not exist yet.

    Args:
        finder: has the originals.
        tell: called on this thread with each report.
        asks: whether the finder knows more than what lies on the disk.
    """

    def __init__(
        self, finder: Finder, tell: Callable[[Report], None], *, asks: bool = False
    ) -> None:
        super().__init__(name="relay-kernelspecs", daemon=True)
        self._finder = finder
        self._tell = tell
        self._asks = asks
        self._wake = threading.Event()
        self._ends = False
        self._pictures = _Pictures()
        self._listed: Mapping[str, str] = {}
        self._asked = 0.0

    def run(self) -> None:
        """Look until :meth:`end`, or until relay-kernel is uninstalled."""
        before: object = None
        again = 0.0
        while not self._ends and is_installed():
            report = None
            try:
                picture = self._picture()
                if picture != before or (again and time.monotonic() >= again):
                    before, report = picture, mirror_specs(self._finder)
            except Exception as error:
                report = Report(problem=f"{type(error).__name__}: {error}")
            if report is not None:
                again = time.monotonic() + AGAIN if report.problem else 0.0
                self._tell(report)
            self._wake.wait(LOOK)
            self._wake.clear()

    def look(self) -> None:
        """Look now, and ask: something is known to be new. Returns at once."""
        self._asked = 0.0
        self._wake.set()

    def end(self) -> None:
        """Look no more. Returns at once."""
        self._ends = True
        self._wake.set()

    def _picture(self) -> object:
        if self._asks and time.monotonic() - self._asked >= ASK:
            self._listed = dict(self._finder.find_kernel_specs())
            self._asked = time.monotonic()
        return self._pictures.take(sorted(self._listed.items()))


class _Pictures:
    """What there is on the disk, short: two are equal if nothing has changed."""

    def __init__(self) -> None:
        self._folders = KernelSpecManager().kernel_dirs
        self._programs: dict[str, tuple[object, list[str]]] = {}

    def take(self, listed: list[tuple[str, str]]) -> object:
        """Take one of all kernels folders, and of these kernelspecs elsewhere."""
        paths = [*self._kernelspecs(), *(folder for _, folder in listed)]
        return listed, [(path, *self._kernelspec(path)) for path in sorted(set(paths))]

    def _kernelspecs(self) -> Iterator[str]:
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    yield from (each.path for each in entries if not each.name.startswith(PREFIX))
            except OSError:
                continue

    def _kernelspec(self, path: str) -> tuple[Any, ...]:
        # The folder too: its logos may come after its description.
        stamp = _stamp(path), _stamp(os.path.join(path, "kernel.json"))
        if self._programs.get(path, (None, []))[0] != stamp:
            argv = [str(each) for each in read_spec(Path(path)).get("argv") or []]
            self._programs[path] = stamp, [each for each in interpreters(argv) if "/" in each]
        programs = self._programs[path][1]
        return (*stamp, *(os.access(program, os.X_OK) for program in programs))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
