"""Request to idle of the cell ``1``: a plain ipykernel, R with its kernel here, R over SSH.

    python -m tests.bench.round_trip [CELLS]

Prints medians and their ratios to the plain kernel. The three take turns in blocks, so that a noisy
machine is noisy for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.settings.paths import find_places
from tests.e2e.rig import Notebook, Pc, end_hub
from tests.sshd import Sshd

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient

BLOCK = 10
#: What the issue asks for, as ratios to the plain kernel.
BARS = {"R→A": 1.4, "R→B": 2.0}


async def request_to_idle(client: AsyncKernelClient) -> float:
    """Seconds from sending ``1`` to its idle on IOPub."""
    began = time.perf_counter()
    request = client.execute("1")
    while True:
        message = await client.iopub_channel.get_msg(timeout=20)
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["content"].get("execution_state") == "idle":
            break
    taken = time.perf_counter() - began
    await client.shell_channel.get_msg(timeout=20)
    return taken


async def measure(cells: int) -> dict[str, list[float]]:
    """Seconds of each cell, by what ran it."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        notebooks = {}
        for name in ("direct", "R→A", "R→B"):
            os.environ["RELAY_HOME"] = str(folder / name.replace("→", ""))
            places = find_places().make()
            if name == "R→B":
                pc = Pc(stack.enter_context(Sshd(folder / "pc")), places)
                stack.callback(pc.close)
                stack.callback(end_hub, places)
            spec = "python3" if name == "direct" else "relay"
            notebook = await stack.enter_async_context(Notebook(folder / f"spec-{spec}", spec))
            if name == "R→B":
                await notebook.run_on("pc")
            await notebook.stop_reading()
            notebooks[name] = notebook
        times: dict[str, list[float]] = {name: [] for name in notebooks}
        for block in range(-1, cells // BLOCK):
            for name, notebook in notebooks.items():
                taken = [await request_to_idle(notebook.client) for _ in range(BLOCK)]
                times[name] += taken if block >= 0 else []
        return times


def main() -> None:
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    times = asyncio.run(measure(cells))
    direct = statistics.median(times["direct"])
    print(f"request → idle of `1`, medians of {cells}")
    for name, taken in times.items():
        median = statistics.median(taken)
        bar = f"(bar: {BARS[name]} x)" if name in BARS else ""
        print(f"{name:<8}{median * 1e3:7.2f} ms {median / direct:6.2f} x {bar}")


if __name__ == "__main__":
    main()
