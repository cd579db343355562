"""What the state after a cell costs on the line, for a real kernel and a real session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from relay_kernel.wire.kernel_frames import unpack

if TYPE_CHECKING:
    from relay_kernel.wire.message import Message
    from tests.agent.conftest import Hosted

#: Bytes that a cell may cost beyond what it shows, whatever else there is.
LITTLE = 4096

NAMES = "for _i in range(1000): globals()[f'v{_i}'] = [_i]\nx = 0"
#: As many chunks as 1 GB has, of which each is another.
CHUNKS = (
    "import os\na = [os.urandom(3000) for _ in range(1000)]\nb = [bytearray(v) for v in a]\nx = 0"
)


async def cell(owner: Hosted, code: str, number: int) -> tuple[int, Message]:
    """Run a cell and bring its state here; return the bytes that this took, and the state."""
    sent = owner.execute(code, number)
    await owner.until(lambda: has_ended(owner, sent))
    before = owner.written
    captured = await owner.report("captured")
    await owner.fetch(captured)
    return owner.written - before, captured


def has_ended(owner: Hosted, sent: str) -> bool:
    """Whether reply and idle of a request are here."""
    frames = [unpack(report) for report in owner.reports if report.kind == "frames"]
    of = [message for message in frames if message.parent_id == sent]
    states = [message.content.get("execution_state") for message in of]
    return "idle" in states and any(message.channel == "shell" for message in of)


@pytest.mark.parametrize("setup", [NAMES, CHUNKS], ids=["1,000 names", "2,000 chunks"])
async def test_a_cell_that_changes_a_small_name_costs_little(owner: Hosted, setup: str) -> None:
    await owner.start()
    first, _ = await cell(owner, setup, 1)
    assert first > 10_000
    for number in range(2, 6):
        cost, captured = await cell(owner, "x += 1", number)
        manifest = json.loads(bytes(captured.parts[0]))
        assert list(manifest["chunks"]) == captured.head["chunks"]
        assert "x" in manifest["names"]
        assert cost < LITTLE


async def test_over_another_link_it_costs_no_more(owner: Hosted) -> None:
    await owner.start()
    await cell(owner, NAMES, 1)
    await owner.unlink()
    owner.open()
    cost, captured = await cell(owner, "x += 1", 2)
    assert len(json.loads(bytes(captured.parts[0]))["names"]) > 1000
    assert cost < LITTLE


async def test_a_standby_is_told_as_little(owner: Hosted) -> None:
    """What it is given is said as what differs from what it was given before."""
    await owner.start()
    states = [
        (await cell(owner, code, n))[1] for n, code in enumerate((NAMES, "x = 1", "x = 2"), 1)
    ]
    costs = []
    for number, captured in enumerate(states, 1):
        before = owner.written
        owner.apply(captured, number)
        assert (await owner.report("applied", "unapplied")).kind == "applied"
        costs.append(owner.written - before)
    assert costs[0] > 10_000
    assert max(costs[1:]) < LITTLE
    assert await owner.value("x") == "2"
