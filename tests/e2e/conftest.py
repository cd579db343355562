"""Fixtures of the end-to-end tests: a notebook, with and without a PC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.book import Book
from tests.e2e.rig import Notebook, Pc, configure, end_hub, without_planes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.sshd import Sshd


@pytest.fixture
def server(places: Places) -> Iterator[Places]:
    """The server's folders, without a hub left behind."""
    without_planes(places)
    yield places
    end_hub(places)


@pytest.fixture
async def alone(server: Places, tmp_path: Path) -> AsyncIterator[Notebook]:
    """A notebook on the server, with no PC configured."""
    async with Notebook(tmp_path) as notebook:
        yield notebook


@pytest.fixture
def desktop(server: Places, pc: Sshd) -> Iterator[Pc]:
    """A paired PC that is on. A lost link is given up after 4 s, so that tests are short."""
    desktop = Pc(pc, server)
    configure(server, lost_after=4.0, wait_at_submit=2.0, heartbeat=0.5)
    yield desktop
    desktop.thaw()
    desktop.close()


@pytest.fixture
async def notebook(desktop: Pc, tmp_path: Path) -> AsyncIterator[Notebook]:
    """A notebook that runs on the PC already."""
    async with Notebook(tmp_path) as notebook:
        await notebook.run_on("pc")
        yield notebook


@pytest.fixture
async def book(
    places: Places, pc: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Book]:
    """Runs on the PC already, and its folder is equal."""
    home = tmp_path / "home"
    here = home / "work"
    here.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    desktop = Pc(pc, places)
    with places.config.open("a") as config:
        config.write('\n[envs]\nskip = ["*"]\n')
    configure(places, lost_after=4.0, wait_at_submit=2.0, heartbeat=0.5)
    async with Notebook(tmp_path / "specs", cwd=here) as notebook:
        await notebook.run_on("pc")
        book = Book(notebook, desktop, here)
        await book.linked()
        yield book
    desktop.thaw()
    # Else it would start another agent there.
    end_hub(places)
    desktop.close()
