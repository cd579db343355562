"""A kernel that says more than the line carries: everything arrives, in order, and the end too."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import pytest

from tests.net.lab import Lab
from tests.net.notebook import apart, over

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(200)]

LINES = 20_000
FLOOD = f"""
for n in range({LINES}):
    print("line", n, "x" * 60, flush=True)
"""
WANTED = "".join(f"line {n} {'x' * 60}\n" for n in range(LINES))


async def flood(*, frozen: bool) -> tuple[bool, str, float]:
    """Whether all lines came in order, the status, and the seconds."""
    with tempfile.TemporaryDirectory(prefix="flood-") as folder, Lab() as lab:
        lab.line.delay = 0.01
        async with over(lab, Path(folder)) as (notebook, pc):
            await notebook.run("x = 1")
            lab.line.rate = 600e3
            began = time.monotonic()
            cell = notebook.send(FLOOD)
            if frozen:
                # The agent does not read for a while; the kernel goes on printing.
                await cell.shows("line 10 ")
                agents = [p for p in pc.named("agent") if "--attach" not in p.cmdline()]
                for agent in agents:
                    agent.suspend()
                await asyncio.sleep(2.0)
                for agent in agents:
                    agent.resume()
            result = await cell.end(within=150)
            taken = time.monotonic() - began
            return result.text() == WANTED, result.status, taken


def run(frozen: bool) -> tuple[bool, str, float]:
    return asyncio.run(flood(frozen=frozen))


@pytest.mark.parametrize("frozen", [False, True])
def test_twenty_thousand_flushed_lines_through_600_kb_a_second(frozen: bool) -> None:
    whole, status, taken = apart(run, frozen)
    print(f"{LINES} lines in {taken:.1f} s")
    assert whole
    assert status == "ok"
