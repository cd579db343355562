"""What a front end waits for: a plain ipykernel, R with its kernel here, R over SSH on loopback.

    python -m tests.bench.front_end [--times N] [--only WORD]

Prints medians, and their ratios to the plain kernel. The three take turns, so that a noisy machine
is noisy for all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.settings.paths import find_places
from tests.e2e.rig import Notebook, Pc, end_hub, without_planes
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jupyter_client.asynchronous.client import AsyncKernelClient

KINDS = ("direct", "R→A", "R→B")
BLOCK = 10
#: Seconds that one request may take.
PATIENCE = 120


async def answer(client: AsyncKernelClient, request: str) -> dict[str, Any]:
    """The content of the reply to a request; others may still come from the start."""
    while True:
        reply = await client.shell_channel.get_msg(timeout=PATIENCE)
        if reply["parent_header"]["msg_id"] == request:
            return dict(reply["content"])


async def cell(client: AsyncKernelClient, code: str) -> tuple[float, float, int]:
    """Run a cell; return the seconds to its reply and to its idle, and the bytes of its output."""
    began = time.perf_counter()
    request = client.execute(code)
    idle, size = 0.0, 0
    while not idle:
        message = await client.iopub_channel.get_msg(timeout=PATIENCE)
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        size += len(content.get("text", ""))
        size += sum(len(data) for data in content.get("data", {}).values())
        if content.get("execution_state") == "idle":
            idle = time.perf_counter() - began
    reply = await answer(client, request)
    assert reply["status"] == "ok", reply
    return time.perf_counter() - began, idle, size


async def to_idle(client: AsyncKernelClient) -> float:
    """Seconds from sending ``1`` to its idle."""
    return (await cell(client, "1"))[1]


async def at_a_persons_pace(client: AsyncKernelClient) -> float:
    """The same behind a pause, in which the state after the cell before was captured."""
    await asyncio.sleep(0.02)
    return await to_idle(client)


async def to_reply(client: AsyncKernelClient) -> float:
    """Seconds from sending ``1`` to its reply."""
    began = time.perf_counter()
    request = client.execute("1")
    await answer(client, request)
    taken = time.perf_counter() - began
    while True:
        message = await client.iopub_channel.get_msg(timeout=PATIENCE)
        ours = message["parent_header"].get("msg_id") == request
        if ours and message["content"].get("execution_state") == "idle":
            return taken


async def completion(client: AsyncKernelClient) -> float:
    """Seconds to complete a name."""
    began = time.perf_counter()
    await answer(client, client.complete("pri", 3))
    return time.perf_counter() - began


def printing(code: str, size: int) -> Callable[[AsyncKernelClient], Awaitable[float]]:
    """Seconds to the idle of a cell whose output has ``size`` bytes."""

    async def measure(client: AsyncKernelClient) -> float:
        _, idle, found = await cell(client, code)
        assert found == size, f"{found} bytes of {size} came"
        return idle

    return measure


LINES = sum(len(f"{number}\n") for number in range(10_000))
SHOW = "from IPython.display import publish_display_data as show; show({{'x/y': 'x' * {size}}})"


@dataclass(frozen=True)
class Row:
    """What is measured, how often, and the bars: the most that R may take of the plain kernel."""

    name: str
    measure: Callable[[AsyncKernelClient], Awaitable[float]]
    times: int
    here: float = 1.25
    far: float = 1.5


ROWS = (
    Row("request → idle of `1`, one right behind the other", to_idle, 200),
    Row("request → reply of `1`, one right behind the other", to_reply, 200),
    Row("request → idle of `1`, a pause between", at_a_persons_pace, 200),
    Row("completion", completion, 100),
    Row("10,000 prints", printing("for i in range(10_000): print(i)", LINES), 10),
    Row(
        "10,000 flushed prints",
        printing("for i in range(10_000): print(i, flush=True)", LINES),
        5,
        1 / 0.8,
        1 / 0.8,
    ),
    Row("100 MB in one output", printing(SHOW.format(size=10**8), 10**8), 5, 1 / 0.8, 1 / 0.8),
)
#: Of the start of a kernel.
START = 1.5


@contextlib.asynccontextmanager
async def kernels(folder: Path) -> Any:
    """The three of them, with their first cell done; yields kind -> client."""
    async with contextlib.AsyncExitStack() as stack:
        clients = {}
        for kind in KINDS:
            places = home(folder, kind)
            if kind == "R→B":
                pc = Pc(stack.enter_context(Sshd(folder / "pc")), places)
                without_planes(places)
                stack.callback(pc.close)
                stack.callback(end_hub, places)
            spec = "python3" if kind == "direct" else "relay"
            notebook = await stack.enter_async_context(Notebook(folder / f"spec-{spec}", spec))
            if kind == "R→B":
                await notebook.run_on("pc")
            await notebook.stop_reading()
            clients[kind] = notebook.client
        yield clients


def home(folder: Path, kind: str) -> Any:
    """Folders of ours for one kind of kernel, named in the environment from now on."""
    os.environ["RELAY_HOME"] = str(folder / kind.replace("→", ""))
    return find_places().make()


async def measure(
    row: Row, clients: dict[str, AsyncKernelClient], count: int
) -> dict[str, list[float]]:
    """Seconds of each time, by kind; the first turn only warms up."""
    times: dict[str, list[float]] = {kind: [] for kind in clients}
    block = min(BLOCK, count)
    for turn in range(-1, count // block):
        for kind, client in clients.items():
            taken = [await row.measure(client) for _ in range(block if turn >= 0 else 2)]
            times[kind] += taken if turn >= 0 else []
    return times


async def start(folder: Path, kind: str) -> tuple[float, float]:
    """Seconds from the launch of a kernel to its kernel_info, and to the reply to a first cell."""
    home(folder, kind)
    notebook = Notebook(folder / "spec", "python3" if kind == "direct" else "relay")
    began = time.perf_counter()
    await notebook.manager.start_kernel()
    client = notebook.client = notebook.manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=PATIENCE)
        ready = time.perf_counter() - began
        await cell(client, "1")
        return ready, time.perf_counter() - began
    finally:
        client.stop_channels()
        await notebook.manager.shutdown_kernel()


def show(name: str, times: dict[str, list[float]], bars: dict[str, float]) -> None:
    """Print one row."""
    direct = statistics.median(times["direct"])
    print(f"\n{name}, medians of {len(times['direct'])}")
    for kind, taken in times.items():
        median = statistics.median(taken)
        ratio = median / direct
        bar = ""
        if kind in bars:
            bar = f"≤ {bars[kind]:.2f} x {'met' if ratio <= bars[kind] else 'NOT MET'}"
        print(f"  {kind:<8}{median * 1e3:9.2f} ms {ratio:6.2f} x  {bar}", flush=True)


async def run(only: str, times: int | None) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        rows = [row for row in ROWS if only in row.name]
        if rows:
            async with kernels(folder) as clients:
                for row in rows:
                    count = min(times or row.times, row.times)
                    bars = {"R→A": row.here, "R→B": row.far}
                    show(row.name, await measure(row, clients, count), bars)
        if only in "start of a kernel":
            found: dict[str, list[tuple[float, float]]] = {"direct": [], "R→A": []}
            for _ in range(min(times or 10, 10)):
                for kind, seconds in found.items():
                    seconds.append(await start(folder, kind))
            for at, what in enumerate(("its kernel_info", "the end of a first cell")):
                seconds_of = {kind: [each[at] for each in taken] for kind, taken in found.items()}
                show(f"start of a kernel, to {what}", seconds_of, {"R→A": START})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    asyncio.run(run(chosen.only, chosen.times))


if __name__ == "__main__":
    main()
