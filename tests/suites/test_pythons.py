"""The user's kernels may be another Python, and another ipykernel at each end."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli.status import collect
from relay_kernel.settings.paths import find_places
from tests.e2e.rig import SOON, Notebook, Pc
from tests.sshd import Sshd
from tests.suites.pythons import Environment, environment, interpreters, sys_minor
from tests.suites.retarget import write_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relay_kernel.settings.paths import Places

FOUND = interpreters()

#: Pythons between which nothing may move.
PAIRS = [*itertools.pairwise(FOUND)]

#: In every run are the oldest, the newest and the one that runs the tests; with this set, all.
SLOW_TOO = "RELAY_SLOW" in os.environ
SOME = sorted({next(iter(FOUND)), sys_minor(), [*FOUND][-1]}, key=[*FOUND].index)

#: By minor version, the ipykernel on the server and the one on the PC: both series at both ends.
ENDS = {
    "3.9": ("ipykernel==6.29.*", "ipykernel>=6.31"),
    "3.10": ("ipykernel<7", "ipykernel>=7"),
    "3.11": ("ipykernel==6.30.*", "ipykernel==7.0.*"),
    "3.12": ("ipykernel>=7", "ipykernel<7"),
    "3.13": ("ipykernel<7", "ipykernel>=7"),
    "3.14": ("ipykernel>=7", "ipykernel<7"),
}

#: Shown while it sleeps, without a flush: what an interrupt does to that is threading's own affair
#: (a ``RuntimeError``, where another thread is just about to let go of the lock).
SLOW = "print('on')\nimport time; time.sleep(60)"

VALUES = """
import numpy as np

class Shape:
    sides = 0
    def __init__(self, name): self.name = name
    @property
    def title(self): return self.name.title()

class Square(Shape):
    sides = 4
    def double(self): return super().title, self.sides * 2

def counter(start):
    count = start
    def step(by=1):
        nonlocal count
        count += by
        return count
    return step

async def later(x): return await_free(x)
def await_free(x): return x + base

base = 100
step = counter(5); step()
figure = Square('box'); same = figure
grid = np.arange(12.).reshape(3, 4); row = grid[1]
lines = (line for line in ['a', 'b'])
next(lines)
"""

CHECK = """
row[0] = 40
assert (step(), step(2)) == (7, 9)
assert figure is same and type(figure) is Square and isinstance(figure, Shape)
assert figure.title == 'Box' and figure.double() == ('Box', 8)
assert grid[1, 0] == 40 and grid.sum() == 66 + 36
base = 1
assert await_free(1) == 2 and await later(2) == 3
'all well'
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    return Ends(tmp_path_factory.mktemp("environments"))


class Ends:
    """The environments of each Python, made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, tuple[Environment, Environment]] = {}

    def of(self, minor: str) -> tuple[Environment, Environment]:
        """The environment on the server, and the one on the PC."""
        if minor not in self._made:
            here, there = (
                environment(self._folder / f"{minor}-{end}", FOUND[minor], wanted, "numpy")
                for end, wanted in zip(("server", "pc"), ENDS[minor], strict=True)
            )
            self._made[minor] = here, there
        return self._made[minor]


@asynccontextmanager
async def a_notebook(
    folder: Path, places: Places, here: Environment, there: Environment
) -> AsyncIterator[Notebook]:
    """A notebook whose kernelspec ``theirs`` is one environment here and another on the PC."""
    for end, chosen in (("server", here), ("pc", there)):
        kernels = folder / end / "kernels"
        write_spec(kernels, "theirs", str(chosen.python), "-m", "ipykernel_launcher")
    relay = (sys.executable, "-m", "relay_kernel", "--spec=theirs")
    write_spec(folder / "kernels", "relay-theirs", *relay)
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("JUPYTER_PATH", str(folder / "server"))
        shared = {"JUPYTER_PATH": str(folder / "pc")}
        desktop = Pc(stack.enter_context(Sshd(folder / "sshd", env=shared)), places)
        stack.callback(desktop.close)
        yield await stack.enter_async_context(Notebook(folder, "relay-theirs"))


async def check_what_a_user_does(notebook: Notebook) -> None:
    assert (await notebook.run("print('hi'); 6 * 7")).value == "42"
    assert "ZeroDivisionError" in (await notebook.run("1 / 0")).error
    notebook.stdin = lambda message: message["content"]["prompt"].upper()
    assert (await notebook.run("input('who? ')")).value == "'WHO? '"
    cell = notebook.send(SLOW)
    await cell.shows("on")
    await notebook.manager.interrupt_kernel()
    assert (await cell.end(within=10)).error == "KeyboardInterrupt: "
    completed = await notebook.ask("complete_request", {"code": "import itert", "cursor_pos": 12})
    assert "itertools" in completed["content"]["matches"]
    inspected = await notebook.ask("inspect_request", {"code": "open", "cursor_pos": 4})
    assert inspected["content"]["found"]
    with tempfile.TemporaryDirectory() as folder:
        wait = f"import os, time\nwhile not os.path.exists({folder + '/go'!r}): time.sleep(0.01)\n"
        failing = [notebook.send(code) for code in (wait + "1/0", "never = 1")]
        # What came behind them has its answer: both are there.
        await notebook.ask("kernel_info_request", {})
        Path(folder, "go").touch()
        assert [(await each.end()).status for each in failing] == ["error", "aborted"]
    assert (await notebook.run("await __import__('asyncio').sleep(0, 'awaited')")).value == (
        "'awaited'"
    )


async def check_subshells(notebook: Notebook, *, has_them: bool) -> None:
    """A kernel without them says so, also where the one at the other end has them."""
    made = (await notebook.ask("create_subshell_request", {}, "control"))["content"]
    assert made["status"] == ("ok" if has_them else "error")
    if has_them:
        gone = {"subshell_id": made["subshell_id"]}
        reply = await notebook.ask("delete_subshell_request", gone, "control")
        assert reply["content"]["status"] == "ok"
    else:
        assert "ipykernel 7" in made["evalue"]


async def check_many_quick_cells(notebook: Notebook) -> None:
    """None of them lies unread while the state of the one before it is reported."""
    for number in range(60):
        assert (await notebook.run(f"{number}")).value == str(number)


async def check_safe(notebook: Notebook) -> None:
    """The state after a cell is taken, and reaches the disk."""
    number = (await notebook.run("pass")).relay["cell"]
    async with asyncio.timeout(SOON):
        while collect(find_places())["kernels"][0]["safe_cell"] < number:
            await asyncio.sleep(0.02)


async def check_a_switch(notebook: Notebook, start: str, end: str) -> None:
    """What is made at one end is the same at the other, and what cannot go is named."""
    assert (await notebook.run(f"%relay {start}")).status == "ok"
    made = await notebook.run_on(start, VALUES)
    assert made.status == "ok", made.error
    moved = await notebook.run(f"%relay {end}")
    checked = await notebook.run_on(end, CHECK)
    assert checked.status == "ok", checked.error
    assert checked.value == "'all well'"
    told = made.notices + moved.notices + (await notebook.run("%relay vars")).said
    assert "lines" in told
    assert "generator" in told
    used = await notebook.run("next(lines)")
    assert used.status == "error"
    assert "generator" in used.error


@pytest.mark.sshd
@pytest.mark.timeout(300)
@pytest.mark.parametrize("minor", FOUND if SLOW_TOO else SOME)
@pytest.mark.usefixtures("server")
async def test_a_notebook_of_another_python_and_of_both_ipykernels(
    minor: str, ends: Ends, places: Places, tmp_path: Path
) -> None:
    here, there = ends.of(minor)
    async with a_notebook(tmp_path, places, here, there) as notebook:
        await notebook.run("%relay local")
        for target, chosen in (("local", here), ("pc", there)):
            await notebook.run(f"%relay {target}")
            code = "import ipykernel, sys; (*sys.version_info[:2], ipykernel.__version__)"
            seen = await notebook.run_on(target, code)
            assert seen.value == repr((*map(int, minor.split(".")), chosen.ipykernel))
            await check_what_a_user_does(notebook)
            await check_subshells(notebook, has_them=chosen.series >= 7)
            await check_many_quick_cells(notebook)
            await check_safe(notebook)
        await check_a_switch(notebook, "pc", "local")
        await check_a_switch(notebook, "local", "pc")
        await notebook.restart()
        fresh = await notebook.run("'step' in globals(), len(In)")
        assert (fresh.value, fresh.count) == ("(False, 2)", 1)


@pytest.mark.sshd
@pytest.mark.parametrize(("one", "other"), PAIRS if SLOW_TOO else PAIRS[:1])
@pytest.mark.usefixtures("server")
async def test_a_pc_with_another_python_is_refused_in_one_clear_line(
    one: str, other: str, ends: Ends, places: Places, tmp_path: Path
) -> None:
    here, there = ends.of(one)[0], ends.of(other)[1]
    async with a_notebook(tmp_path, places, here, there) as notebook, asyncio.timeout(SOON):
        while not (result := await notebook.run("6 * 7")).notices:
            assert (result.status, result.target) == ("ok", "local")
            await asyncio.sleep(0.2)
        (line,) = result.notices.splitlines()
        assert f"its kernel runs Python {other}, and the one on the server {one}" in line
        assert line.endswith(f"install Python {one} here")
        assert result.value == "42"
