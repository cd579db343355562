"""``%relay restore``: a server that went down or a kernel that was restarted costs no variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay_kernel.settings.paths import find_places
from tests.e2e.rig import SOON, Notebook, _kill, processes_of
from tests.e2e.test_healing import everything_is_safe

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.e2e.rig import Pc

FILE = "/home/ada/book.ipynb"
STATE = """\
import os, random
big = os.urandom(3 << 20); total = sum(big)
def tell(): return sum(big) == total, shared[0] is other
other = [1]; shared = [other]
random.seed(5)
import threading; lock = threading.Lock(); lock.acquire(); None"""


def cut_power(places: Places) -> None:
    """R, its kernels and the hub are gone at once."""
    _kill(processes_of(places.config.parent))


async def left(notebook: Notebook, places: Places) -> None:
    """Make a state, and lose the machine."""
    await notebook.run("first = 1")
    await notebook.run("40 + 2")
    await notebook.run(STATE)
    await everything_is_safe(notebook)
    cut_power(places)
    await notebook.stop_reading()


async def check(again: Notebook, target: str) -> None:
    """Nothing is there by itself; then everything is."""
    assert (await again.run("sorted(n for n in globals() if n in ('big', 'tell'))")).value == "[]"
    status = (await again.run("%relay")).said
    assert "`%relay restore` puts it back" in status
    said = await again.run("%relay restore --replace")
    assert said.text().startswith("restored: 9 variables as after cell "), said.text()
    assert "lock could not be restored: a lock that is held belongs to" in said.text("stdout")
    result = await again.run("tell(), first, 42 in Out.values(), '40 + 2' in In", within=SOON)
    assert (result.target, result.value) == (target, "((True, True), 1, True, True)")
    assert result.count > said.count > 3
    assert "puts it back" not in (await again.run("%relay")).said


class TestAfterAPowerCut:
    async def test_the_server_comes_back_alone(self, server: Places, tmp_path: Path) -> None:
        async with Notebook(tmp_path, file=FILE) as notebook:
            await left(notebook, server)
        async with Notebook(tmp_path, file=FILE) as again:
            await check(again, "local")

    async def test_the_server_comes_back_with_a_pc(
        self, server: Places, desktop: Pc, tmp_path: Path
    ) -> None:
        async with Notebook(tmp_path, file=FILE) as notebook:
            await notebook.run_on("pc")
            await left(notebook, server)
        async with Notebook(tmp_path, file=FILE) as again:
            await again.run_on("pc")
            await check(again, "pc")
            desktop.lose_power()
            assert (await again.run("tell()")).value == "(True, True)"


class TestAfterAnEnd:
    async def test_a_restart_from_the_menu_is_fresh_and_can_be_undone(
        self, alone: Notebook
    ) -> None:
        """The kernel has no path, but it is the same kernel."""
        await alone.run("x = [1]")
        await alone.restart()
        assert (await alone.run("'x' in globals()")).value == "False"
        assert "1 variable, " in (await alone.run("%relay restore list")).text()
        # The same cell may use what comes back.
        assert (await alone.run("%relay restore\nx.append(2); x")).value == "[1, 2]"
        assert (await alone.run("x")).value == "[1, 2]"

    async def test_only_the_newest_are_kept_and_each_can_be_had(self, alone: Notebook) -> None:
        for number in range(5):
            await alone.run(f"x = {number}")
            await alone.run("%relay wait")
            await alone.restart()
        rows = (await alone.run("%relay restore list")).text().splitlines()
        assert len(rows) == 3
        assert all("this notebook" in row for row in rows)
        assert (await alone.run("%relay restore 2\nx")).value == "3"

    async def test_another_notebook_gets_nothing_unasked(
        self, server: Places, tmp_path: Path
    ) -> None:
        async with Notebook(tmp_path, file=FILE) as notebook:
            await notebook.run("x = 1")
        async with Notebook(tmp_path, file="/home/ada/other.ipynb") as other:
            said = await other.run("%relay restore")
            assert "nothing is kept of this notebook" in said.text("stderr")
            assert FILE in (await other.run("%relay restore list")).text()
            assert (await other.run("%relay restore 1\nx")).value == "1"

    async def test_what_is_here_is_not_replaced_unasked(self, alone: Notebook) -> None:
        await alone.run("x = 1")
        await alone.restart()
        await alone.run("y = 2")
        said = await alone.run("%relay restore")
        assert "there are variables here already (y)" in said.text("stderr")
        assert (await alone.run("y, 'x' in globals()")).value == "(2, False)"
        said = await alone.run("%relay restore --replace")
        assert said.text().startswith("restored: 1 variables") or "restored" in said.text()
        assert (await alone.run("x, 'y' in globals()")).value == "(1, False)"


@pytest.mark.parametrize("words", ["seven", "7", "1 2"])
async def test_a_wrong_number_is_said(alone: Notebook, words: str) -> None:
    said = (await alone.run(f"%relay restore {words}")).text("stderr")
    assert said.startswith("%relay restore: ")
    assert "%relay restore list" in said
    assert (await alone.run("1")).value == "1"


async def test_an_interrupt_while_it_waits_ends_the_cell(alone: Notebook) -> None:
    sleeping = alone.send("import time; print('on'); time.sleep(60)")
    waiting = alone.send("%relay restore", stop_on_error=False)
    await sleeping.shows("on")
    await alone.ask("interrupt_request", {}, "control")
    assert (await sleeping.end()).status == "error"
    assert (await waiting.end()).status in {"ok", "aborted"}
    assert (await alone.run("1")).value == "1"
    assert not list(find_places().kept.glob("*"))
