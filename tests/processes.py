"""Whether processes still do anything."""

from __future__ import annotations

import asyncio

import psutil


def lives(process: psutil.Process) -> bool:
    """Whether it is there; a zombie that its parent has not reaped is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        # It ended between the two questions.
        return False


async def ended(*processes: psutil.Process, within: float = 30.0) -> None:
    """Wait until none of these does anything any more."""
    async with asyncio.timeout(within):
        while any(lives(process) for process in processes):
            await asyncio.sleep(0.01)
