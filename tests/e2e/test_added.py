"""A PC that is added or removed while a notebook is open."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel.hub.client import open_stream
from relay_kernel.kernel.targets import REFUSED
from relay_kernel.link.errors import DialError
from relay_kernel.settings.edit import add_target, remove_target
from tests.e2e.book import Book
from tests.e2e.rig import SOON, Notebook, Pc, configure, end_hub
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

pytestmark = pytest.mark.sshd


@pytest.fixture
def here(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in the home of a server that knows no PC."""
    here = tmp_path / "home" / "work"
    here.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(here.parent))
    with places.config.open("a") as config:
        config.write('\n[envs]\nskip = ["*"]\n')
    configure(places, lost_after=4.0, wait_at_submit=2.0, heartbeat=0.5)
    yield here
    end_hub(places)


async def test_the_notebook_moves_there_and_its_folder_is_kept_equal(
    here: Path, places: Places, pc: Sshd, tmp_path: Path
) -> None:
    async with Notebook(tmp_path / "specs", cwd=here) as notebook:
        alone = await notebook.run("import socket\nx, line = [1], socket.socket()")
        assert (alone.target, alone.notices) == ("local", "")
        assert "there are: local" in (await notebook.run("%%relay pc\nx")).error
        desktop = Pc(pc, places)
        moved = await notebook.run_on("pc", "x.append(2)\nx")
        assert moved.value == "[1, 2]"
        # It lives where the notebook was until now.
        assert "line" in (await notebook.run("%relay vars")).said
        book = Book(notebook, desktop, here)
        await book.linked()
        (here / "data.txt").write_text("on the server")
        assert (await notebook.run("open('data.txt').read()")).value == "'on the server'"
    # Else it would start another agent there.
    end_hub(places)
    desktop.close()


async def test_one_that_comes_first_in_order_is_preferred(
    server: Places, pc: Sshd, tmp_path: Path
) -> None:
    with Sshd(tmp_path / "attic") as sshd:
        attic = Pc(sshd, server, "attic")
        known = {key: getattr(attic.target, key) for key in ("ssh", "identity", "python")}
        async with Notebook(tmp_path) as notebook:
            await notebook.run_on("attic", "x = 1")
            desk = Pc(pc, server, "desk")
            add_target(server.config, "attic", **known, order=9)
            assert (await notebook.run_on("desk", "x + 1")).value == "2"
            targets = (await notebook.run("%relay")).said
            assert targets.index("desk") < targets.index("attic") < targets.index("local")
        for each in (attic, desk):
            each.close()


async def test_one_that_is_removed_hands_over_between_two_cells(
    notebook: Notebook, desktop: Pc, server: Places, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    await notebook.run_on("pc", "import os, time\nx = 1")
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.02)"
    cell = notebook.send(f"print('on')\n{wait}\nx += 1\nprint('to the end')")
    await cell.shows("on")
    remove_target(server.config, "pc")
    # Whoever asks the hub next has it read the configuration.
    with pytest.raises(DialError, match="has no target pc"):
        await open_stream(server, "pc")
    go.touch()
    ended = await cell.end()
    assert (ended.target, ended.text()) == ("pc", "on\nto the end\n")
    here = await notebook.run_on("local", "x += 1\nx")
    assert (here.value, here.notices) == ("3", "")
    async with asyncio.timeout(SOON):
        while desktop.named("ipykernel_launcher"):
            await asyncio.sleep(0.05)
    # Long before it would ask again by itself.
    desktop.sshd.pair(server, python=sys.executable)
    async with asyncio.timeout(REFUSED / 2):
        assert (await notebook.run_on("pc", "x")).value == "3"


async def test_a_configuration_that_is_wrong_changes_nothing_until_it_is_mended(
    server: Places, pc: Sshd, tmp_path: Path
) -> None:
    desktop = Pc(pc, server)
    right = server.config.read_text()
    server.config.write_text("[targets.pc]\nssh = 7\n")
    async with Notebook(tmp_path) as notebook:
        first = await notebook.run("x = 1")
        assert first.target == "local"
        assert "until that is mended, everything runs here" in first.notices
        server.config.write_text(right)
        await notebook.run_on("pc", "x += 1")
        server.config.write_text("[targets.pc]\nssh = 7\n")
        log = server.kernel_log
        async with asyncio.timeout(SOON):
            while log.read_text().count("ssh") < 2:
                await asyncio.sleep(0.05)
        still = await notebook.run("x")
        assert (still.value, still.target) == ("2", "pc")
    desktop.close()
