"""A notebook on the server of a :class:`tests.net.lab.Lab`, with its PC at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
from typing import TYPE_CHECKING, Any

from relay_kernel.cli.status import collect
from relay_kernel.settings.paths import find_places
from tests.e2e.rig import Notebook, Pc, configure, end_hub, without_planes
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.net.lab import Lab

#: Seconds for the PC to have a kernel.
READY = 60.0


@contextlib.asynccontextmanager
async def over(lab: Lab, folder: Path, **settings: Any) -> AsyncIterator[tuple[Notebook, Pc]]:
    """A notebook whose PC is ready. All that this thread makes meanwhile is on the server."""
    os.environ["RELAY_HOME"] = str(folder / "home")
    places = find_places().make()
    async with contextlib.AsyncExitStack() as stack:
        with lab.pc.here():
            sshd = stack.enter_context(Sshd(folder / "pc", host=lab.pc.address))
        stack.enter_context(lab.server.here())
        pc = Pc(sshd, places)
        stack.callback(pc.close)
        stack.callback(end_hub, places)
        without_planes(places)
        configure(places, **settings)
        notebook = await stack.enter_async_context(Notebook(folder / "specs"))
        async with asyncio.timeout(READY):
            while collect(places)["targets"]["pc"]["phase"] != "ready":
                await asyncio.sleep(0.02)
        yield notebook, pc


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """Call ``work`` in a process of its own: it moves into another network."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)
