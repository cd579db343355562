"""Kernels at the PC run in the environment that mirrors the server's."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel.envs.mirror import Note
from tests.e2e.rig import Notebook
from tests.envs.rig import SOON, project, uv

if TYPE_CHECKING:
    from pathlib import Path

    from tests.envs.rig import Env, World

pytestmark = pytest.mark.timeout(180)


def notebook(world: World, folder: Path, spec: str) -> Notebook:
    """A notebook whose kernel is R for ``spec``."""
    argv = [sys.executable, "-m", "relay_kernel", "-f", "{connection_file}", "--spec", spec]
    own = folder / "kernels" / f"relay-{spec}"
    own.mkdir(parents=True)
    content = {"argv": argv, "display_name": spec, "language": "python"}
    (own / "kernel.json").write_text(json.dumps({**content, "interrupt_mode": "message"}))
    return Notebook(folder, f"relay-{spec}")


async def test_a_notebook_starts_here_and_moves_once_the_environment_is_there(
    world: World, kernel_env: Env, tmp_path: Path
) -> None:
    kernel_env.add_fake("only_here", "2.0")
    world.install_kernel("mine", kernel_env)
    async with notebook(world, tmp_path, "mine") as opened:
        first = await opened.run("import only_here, sys; x = only_here.version; x")
        assert first.target == "local"
        assert first.value == "'2.0'"
        async with world:
            there = await opened.run_on("pc", "import sys; print(only_here.version, sys.prefix)")
        assert there.text().split() == ["2.0", str(world.mirror("mine").current)]
        assert (await opened.run("x")).value == "'2.0'"


async def test_what_a_cell_installs_is_there_on_the_other_side(
    world: World, kernel_env: Env, tmp_path: Path
) -> None:
    """On the server first, for a kernel that runs at the PC already; then the other way round."""
    world.install_kernel("mine", kernel_env)
    here = pip_wheel(tmp_path, "fromhere")
    kernel_env.install("pip")
    async with world, notebook(world, tmp_path, "mine") as opened:
        await opened.run_on("pc")
        done = await opened.run(f"%%relay local\n%pip install --quiet --no-deps --no-index {here}")
        assert done.target == "local", done.error
        assert await world.plane.caught_up("mine", "pc", SOON)
        moved = await opened.run_on("pc", "import fromhere; print(fromhere.x)")
        assert moved.text() == "1\n"

        done = await opened.run("%pip install --quiet --no-deps six==1.16.0")
        assert done.target == "pc", done.error
        await world.until(lambda: (kernel_env.site / "six.py").exists())
        back = await opened.run("%%relay local\nimport six; print(six.__version__)")
        assert (back.target, back.text()) == ("local", "1.16.0\n")
        await world.until(lambda: world.state("mine")["drift"] == [])


async def test_what_cannot_be_mirrored_runs_here_and_says_why(
    world: World, kernel_env: Env, tmp_path: Path
) -> None:
    kernel_env.add_fake("fromconda")
    (kernel_env.site / "fromconda-1.0.dist-info" / "INSTALLER").write_text("conda\n")
    (kernel_env.site / "fromconda-1.0.dist-info" / "WHEEL").unlink()
    world.install_kernel("mine", kernel_env)
    async with world:
        await world.phase("mine", "impossible")
        async with notebook(world, tmp_path, "mine") as opened:
            notices = ""
            async with asyncio.timeout(SOON):
                while "cannot be had here" not in notices:
                    ran = await opened.run("import fromconda")
                    assert (ran.target, ran.status) == ("local", "ok")
                    notices += ran.notices
                    # Each of these cells takes processor time that the agent needs to start.
                    await asyncio.sleep(0.2)
            assert "the environment of kernel mine cannot be had here: it cannot" in notices
            assert "fromconda 1.0 is of conda alone" in notices
            world.configure(without=["fromconda"])
            assert (await opened.run_on("pc", "1 + 1")).value == "2"


async def test_a_notebook_that_is_open_hears_that_an_environment_cannot_be_had(
    world: World, kernel_env: Env, tmp_path: Path
) -> None:
    """It was told that there is none yet, and nobody starts its kernel again."""
    world.install_kernel("mine", kernel_env)
    async with notebook(world, tmp_path, "mine") as opened:
        kernel_env.add_fake("fromconda")
        (kernel_env.site / "fromconda-1.0.dist-info" / "INSTALLER").write_text("conda\n")
        (kernel_env.site / "fromconda-1.0.dist-info" / "WHEEL").unlink()
        mirror = world.mirror("mine")
        mirror.folder.mkdir(parents=True)
        mirror.write_note(Note("it is being built", blocks=True))
        await hears(opened, "pc: it is being built")
        async with world:
            await hears(opened, "fromconda 1.0 is of conda alone")


async def hears(opened: Notebook, text: str) -> None:
    """Run cells until one of them says something."""
    async with asyncio.timeout(SOON):
        while text not in (await opened.run("1")).notices:
            await asyncio.sleep(0.2)


def pip_wheel(folder: Path, name: str) -> Path:
    """A local wheel, to be installed by a cell."""
    uv("build", "--wheel", "--out-dir", str(folder), str(project(folder / name, name, "x = 1\n")))
    (found,) = folder.glob("*.whl")
    return found
