"""Runs a real cell at a target, through R and back, as a notebook does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from relay_kernel.cli.diagnosis.finding import Finding, fault, ok, warning
from relay_kernel.hub.env_board import EnvPhase, read_envs

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

#: Seconds for R to start.
START_TIMEOUT = 30.0

#: Seconds until a cell must have run at the target, the start of a kernel there included.
READY_TIMEOUT = 60.0

#: The kernel behind R where nothing else is said.
DEFAULT_SPEC = "python3"

#: Seconds for an environment that is not there yet: a small one is made by then.
ENV_PATIENCE = 10.0
#: What an environment waits for longer than that.
_NOT_SOON = (EnvPhase.BUILDING.value, EnvPhase.IMPOSSIBLE.value)

#: Cells that are timed; the quickest counts.
TIMED = 5

_PAUSE = 0.3


@dataclass(frozen=True)
class CellFacts:
    """What became of a cell."""

    target: str
    """Where it was to run."""
    ran_on: str = ""
    """Where it ran; empty: nowhere."""
    ready: float = 0.0
    """Seconds from the start of R to the first cell there."""
    seconds: float = 0.0
    """For one small cell, there and back."""
    error: str = ""
    """Why it did not run there."""
    building: bool = False
    """Whether its environment is only being made there."""


def judge_cell(cell: CellFacts) -> Finding:
    """Whether cells run at the target."""
    name = "a cell there and back"
    if cell.ran_on == cell.target and not cell.error:
        return ok(name, f"{cell.seconds * 1000:.0f} ms; the kernel was there in {cell.ready:.1f} s")
    if cell.building:
        line = "its environment is being built there; until it is, cells run on the server"
        return warning(name, line, "relay kernels sync: waits for it, and shows how far it is")
    mend = f"relay logs {cell.target}, and %relay in a notebook, say more"
    return fault(name, cell.error or f"it ran on {cell.ran_on or 'nothing'}", mend)


async def send_cell(places: Places, target: str) -> CellFacts:
    """Start R, have a cell run at ``target``, and end R again. Leaves nothing behind."""
    spec = KernelSpec(
        argv=[sys.executable, "-P", "-m", "relay_kernel", "-f", "{connection_file}"],
        display_name="relay doctor",
        language="python",
        interrupt_mode="message",
    )
    manager = AsyncKernelManager()
    manager._kernel_spec = spec
    manager.transport = "ipc"
    env = {name: value for name, value in os.environ.items() if name != "JPY_SESSION_NAME"}
    # Not below the home folder: no folder is kept equal for it.
    with tempfile.TemporaryDirectory(prefix="relay-doctor-") as folder:
        manager.ip = f"{folder}/kernel"
        began = time.monotonic()
        with places.kernel_log.open("ab") as log:
            await manager.start_kernel(cwd=folder, env=env, stdout=log, stderr=log)
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=START_TIMEOUT)
            return await _try(places, client, target, began)
        except (RuntimeError, TimeoutError, queue.Empty) as error:
            return CellFacts(target, error=f"R does not answer: {error or type(error).__name__}")
        finally:
            client.stop_channels()
            with contextlib.suppress(RuntimeError, TimeoutError):
                await manager.shutdown_kernel()


async def _try(places: Places, client: Any, target: str, began: float) -> CellFacts:
    code = f"%%relay {target}\npass"
    while True:
        ran_on, error, _ = await _run(client, code)
        ready = time.monotonic() - began
        if ran_on == target and not error:
            break
        phase = _environment(places, target) if ready > ENV_PATIENCE else ""
        if phase in _NOT_SOON or ready > READY_TIMEOUT:
            building = phase == EnvPhase.BUILDING.value
            return CellFacts(target, ran_on, ready, error=error, building=building)
        await asyncio.sleep(_PAUSE)
    times = [(await _run(client, code))[2] for _ in range(TIMED)]
    return CellFacts(target, ran_on, ready, min(times))


def _environment(places: Places, target: str) -> str:
    """The phase at ``target`` of the environment that R's kernel needs; empty: it is not known."""
    return str(read_envs(places).get(DEFAULT_SPEC, {}).get(target, {}).get("phase", ""))


async def _run(client: Any, code: str) -> tuple[str, str, float]:
    """Run a cell; where it ran, its error, and the seconds that it took."""
    began = time.monotonic()
    reply = await client.execute_interactive(
        code, store_history=False, allow_stdin=False, output_hook=_drop, timeout=READY_TIMEOUT
    )
    content = reply["content"]
    error = "" if content["status"] == "ok" else str(content.get("evalue") or content["status"])
    where = reply["metadata"].get("relay", {}).get("target", "")
    return where, error, time.monotonic() - began


def _drop(message: dict[str, Any]) -> None:
    """Nobody looks at what the cell shows."""
