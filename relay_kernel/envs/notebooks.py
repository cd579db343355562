"""Finds out whether it is a notebook that installs something: ``%pip``, ``!uv pip`` in a cell."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from relay_kernel.envs.mirror import users

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMMANDS = frozenset({"pip", "pip3", "uv"})


def installers(environment: Path) -> list[psutil.Process]:
    """The installers that kernels of an environment are running now."""
    found = []
    for kernel in users(environment):
        with contextlib.suppress(psutil.Error, OSError):
            # What a kernel has started may have the same interpreter.
            if any("ipykernel" in word for word in kernel.cmdline()):
                found += [each for each in kernel.children(recursive=True) if _installs(each)]
    return found


def _installs(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
    except (psutil.Error, OSError):
        return False
    commands = {Path(word).name for word in words[:2]}
    return bool(commands & _COMMANDS) or words[1:3] == ["-m", "pip"]


def running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended yet."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
