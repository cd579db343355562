"""A notebook with two PCs: the first in order runs it, and the other is there when that goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli.status import collect
from relay_kernel.settings.edit import add_target
from tests.e2e.rig import SOON, Notebook, Pc, configure
from tests.e2e.test_loss import LINES, SLOW
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

pytestmark = pytest.mark.sshd


@pytest.fixture
def attic(server: Places, tmp_path: Path) -> Iterator[Pc]:
    """It is paired first, and its name comes first."""
    with Sshd(tmp_path / "attic") as sshd:
        attic = Pc(sshd, server, "attic")
        yield attic
        attic.close()


@pytest.fixture
def desk(server: Places, attic: Pc, pc: Sshd) -> Iterator[Pc]:
    """It is preferred, by its order."""
    desk = Pc(pc, server, "desk")
    known = {key: getattr(attic.target, key) for key in ("ssh", "identity", "python")}
    add_target(server.config, "attic", **known, order=9)
    configure(server, lost_after=4.0, wait_at_submit=2.0, heartbeat=0.5)
    yield desk
    desk.close()


async def test_the_next_in_order_goes_on(desk: Pc, server: Places, tmp_path: Path) -> None:
    async with Notebook(tmp_path) as notebook:
        await notebook.run_on("desk", "x = [1]")
        async with asyncio.timeout(SOON):
            while collect(server)["targets"]["attic"]["phase"] != "ready":
                await asyncio.sleep(0.05)
        cell = notebook.send(SLOW)
        await cell.shows("step 3")
        desk.lose_power()
        result = await cell.end()
        assert (result.text(), result.target) == (LINES, "attic")
        assert "desk was lost" in result.notices
        assert (await notebook.run("%%relay local\nx.append(2)")).target == "local"
        back = await notebook.run("x")
        assert (back.value, back.target) == ("[1, 2]", "attic")
