"""An agent that is cut off fences itself before R gives its role away; one that is not goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil

from relay_kernel.link.clock import now
from relay_kernel.wire.session import Session
from tests.agent.rig import SOON
from tests.agent.test_server import HELLO, Agent, agent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.agent.conftest import Hosted
    from tests.agent.rig import Owner

__all__ = ["agent"]

COUNTS = """
import time
for n in range(10_000):
    print(n, flush=True)
    time.sleep(0.01)
    if stop: break
"""


async def becomes(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not holds():
            await asyncio.sleep(0.01)


def stands_still(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


async def leased(agent: Agent, busy: float, idle: float) -> tuple[Owner, psutil.Process]:
    """A notebook with a kernel, and a lease of so many seconds."""
    owner = agent.owner("s1", heartbeat=0.1)
    owner.pump.session = Session({**HELLO, "session": "s1", "heartbeat": 0.1}, 0.1)
    await agent.link(owner)
    report = await owner.start(lease={"busy": busy, "idle": idle})
    return owner, psutil.Process(report.head["pid"])


async def relink(agent: Agent, owner: Owner) -> None:
    owner.pump.session.hello["resume"] = True
    await agent.link(owner)


async def test_a_running_cell_stands_still_while_r_is_away_and_then_goes_on(agent: Agent) -> None:
    owner, process = await leased(agent, busy=0.5, idle=0.3)
    await owner.run("stop = False", cell=1)
    id_ = owner.execute(COUNTS.replace("10_000", "200"), cell=2)
    await owner.report("frames")
    await owner.unlink()
    await becomes(lambda: stands_still(process))
    await relink(agent, owner)
    reply, _ = await owner.answer(id_)
    assert reply.content["status"] == "ok"
    assert await owner.value("n") == "199"


async def test_while_r_answers_a_cell_may_take_longer_than_the_lease(agent: Agent) -> None:
    owner, process = await leased(agent, busy=0.5, idle=0.3)
    id_ = owner.execute("import time; time.sleep(1.5)", cell=1)
    seen = []
    answer = asyncio.ensure_future(owner.answer(id_))
    while not answer.done():
        seen.append(stands_still(process))
        await asyncio.sleep(0.02)
    assert not any(seen)


async def test_a_kernel_that_does_nothing_needs_no_stop(agent: Agent) -> None:
    owner, process = await leased(agent, busy=0.2, idle=0.1)
    await owner.run("x = 1", cell=1)
    guest = agent.server._guests["s1"]
    await owner.unlink()
    await becomes(lambda: guest.host.guard.is_closed)
    assert not stands_still(process)


async def test_an_order_that_lay_in_a_socket_waits_until_r_is_heard(owner: Hosted) -> None:
    """A machine that slept reads what was sent before; R may have given its role away since."""
    await owner.start(lease={"busy": 60.0, "idle": 30.0})
    owner.host.renew(now() - 100)
    id_ = owner.execute("print('late')", cell=1)
    owner.order("interrupt")
    await becomes(lambda: len(owner.host._late) == 2)
    assert not owner.reports
    owner.host.renew(now())
    reply, _ = await owner.answer(id_)
    assert reply.content["status"] in {"ok", "error"}
    assert not owner.host._late
