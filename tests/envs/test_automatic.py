"""Nothing to do: a notebook is opened, and the PC comes to have what its kernel has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.rig import processes_of
from tests.envs.test_kernel import notebook, pip_wheel
from tests.processes import wait_ended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.envs.rig import Env, World

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def left_alone(world: World) -> Iterator[World]:
    """A world in which whoever needs the plane starts it."""
    world.alone.close()
    yield world
    planes = [p for p in processes_of(world.places.config.parent) if "files-plane" in p.cmdline()]
    for process in planes:
        process.terminate()
    wait_ended(*planes)


async def test_an_open_notebook_is_enough(
    left_alone: World, kernel_env: Env, tmp_path: Path
) -> None:
    left_alone.install_kernel("mine", kernel_env)
    kernel_env.install("pip")
    wheel = pip_wheel(tmp_path, "laterhere")
    async with notebook(left_alone, tmp_path, "mine") as opened:
        # It does not wait for the PC.
        assert (await opened.run("x = 1")).target == "local"
        there = await opened.run_on("pc", "import sys; print(x, sys.prefix)", within=120)
        assert there.text().split() == ["1", str(left_alone.mirror("mine").current)]

        # What is installed here is there when the role moves, without a word.
        code = f"%%relay local\n%pip install --quiet --no-deps --no-index {wheel}"
        assert (await opened.run(code)).target == "local"
        moved = await opened.run("%%relay pc\nimport laterhere; print(laterhere.x)")
        assert (moved.text(), moved.target) == ("1\n", "pc")
        assert "what was installed is not there yet" not in moved.notices
