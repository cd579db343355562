"""How busy this machine is: cores, memory, and GPUs as ``nvidia-smi`` says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from dataclasses import dataclass
from typing import Any

import psutil

from relay_kernel.link.clock import now

#: Seconds that ``nvidia-smi`` may take. One that hangs, as it does behind a GPU that has fallen off
#: its bus, costs the figures alone.
PATIENCE = 2.0
#: Seconds for one that was killed to be gone.
GONE = 5.0
#: Seconds for which one that hung is left alone.
REST = 300.0
_MIB = 1 << 20
_QUERY = (
    "--query-gpu=name,utilization.gpu,memory.used,memory.total",
    "--format=csv,noheader,nounits",
)


@dataclass
class _Hung:
    until: float = 0.0


_hung = _Hung()


async def measure() -> dict[str, Any]:
    """Measure; see :class:`relay_kernel.core.overview.Usage` for what the fields are.

    The load of the cores is that since the last time that this process asked.
    """
    memory = psutil.virtual_memory()
    return {
        "cpu": round(psutil.cpu_percent(None) / 100, 3),
        "cores": os.cpu_count() or 1,
        "memory_used": memory.total - memory.available,
        "memory_total": memory.total,
        "gpus": await _gpus(),
    }


async def _gpus() -> list[dict[str, Any]]:
    program = shutil.which("nvidia-smi")
    if program is None or now() < _hung.until:
        return []
    process = await asyncio.create_subprocess_exec(
        program,
        *_QUERY,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
    except TimeoutError:
        # It may not even heed the signal: another one would only stand beside it.
        _hung.until = now() + REST
        process.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GONE)
        return []
    return gpus(said.decode(errors="replace"))


def gpus(said: str) -> list[dict[str, Any]]:
    """What ``nvidia-smi`` says, a line for each GPU; a line that is not understood is left out.

    Some GPUs do not tell their load, and some not their memory: ``[N/A]``.
    """
    found = []
    for line in said.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 3)]
        if len(parts) != 4:
            continue
        name, load, used, total = parts
        if used.isdigit() and total.isdigit():
            found.append(
                {
                    "name": name,
                    "load": int(load) / 100 if load.isdigit() else None,
                    "memory_used": int(used) * _MIB,
                    "memory_total": int(total) * _MIB,
                }
            )
    return found
