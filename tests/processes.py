"""Whether processes still do anything, and what they wait for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil

#: Seconds between two looks.
LOOK = 0.005


def lives(process: psutil.Process) -> bool:
    """Whether it is there; a zombie that its parent has not reaped is not.

    One whose threads are still ending is: it has its files and locks.
    """
    try:
        if not process.is_running():
            return False
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    except psutil.NoSuchProcess:
        # It ended between the two questions.
        return False


async def ended(*processes: psutil.Process, within: float = 30.0) -> None:
    """Wait until none of these does anything any more."""
    async with asyncio.timeout(within):
        while any(lives(process) for process in processes):
            await asyncio.sleep(LOOK)


def wait_ended(*processes: psutil.Process, within: float = 30.0) -> None:
    """The same for a thread.

    ``psutil.wait_procs`` waits until they are reaped, for which the first process of a container
    may take seconds.
    """
    deadline = time.monotonic() + within
    while alive := [process for process in processes if lives(process)]:
        assert time.monotonic() < deadline, f"they do not end: {alive}"
        time.sleep(LOOK)


def wait_blocked(pid: int, within: float = 30.0) -> None:
    """Wait until a process waits for a lock of a file that another one has: proc_locks(5)."""
    deadline = time.monotonic() + within
    while not _waits(pid):
        assert time.monotonic() < deadline, f"{pid} waits for no lock"
        time.sleep(LOOK)


def _waits(pid: int) -> bool:
    lines = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(fields[1] == "->" and fields[5] == str(pid) for fields in lines)
