"""One notebook for many checks: alone, on a PC, and back on the server after a switch."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from relay_kernel.settings.paths import find_places
from tests.conformance.rig import Client
from tests.e2e.rig import Pc, configure, end_hub, without_planes
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@contextmanager
def a_server() -> Iterator[Path]:
    """A server's folders, and another for whatever; no hub is left behind."""
    with (
        tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True) as home,
        tempfile.TemporaryDirectory(prefix="book-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RELAY_HOME", home)
        places = find_places().make()
        yield Path(folder)
        end_hub(places)


@contextmanager
def a_pc(folder: Path) -> Iterator[Pc]:
    """A PC that is on and paired; a lost link is given up after 4 s, so that tests are short."""
    with Sshd(folder / "pc") as sshd:
        places = find_places()
        desktop = Pc(sshd, places)
        without_planes(places)
        configure(places, lost_after=4.0, wait_at_submit=2.0, heartbeat=0.5)
        yield desktop
        desktop.thaw()
        desktop.close()


@asynccontextmanager
async def a_notebook(where: str) -> AsyncIterator[Client]:
    """A notebook whose cells run ``alone``, on the ``pc``, or here again, after it was there."""
    with a_server() as folder:
        if where == "alone":
            async with Client(folder) as client:
                yield client
            return
        with a_pc(folder) as desktop:
            async with Client(folder) as client:
                client.desktop = desktop
                await client.run_on("pc")
                if where == "switched":
                    await client.switch("local")
                yield client


@pytest.fixture(
    scope="module",
    params=[
        "alone",
        pytest.param("pc", marks=pytest.mark.sshd),
        pytest.param("switched", marks=pytest.mark.sshd),
    ],
)
def where(request: pytest.FixtureRequest) -> str:
    """Where the cells of ``book`` run."""
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def book(where: str) -> AsyncIterator[Client]:
    """A notebook for all checks of a file that leave it as they found it."""
    async with a_notebook(where) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far() -> AsyncIterator[Client]:
    """A notebook with a PC, for checks that move it there and back."""
    async with a_notebook("pc") as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def fresh() -> AsyncIterator[Client]:
    """A notebook on a PC, for one check, which may do to both what it likes."""
    async with a_notebook("pc") as client:
        yield client
