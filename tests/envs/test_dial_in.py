"""Environments at a PC that dials in, where it runs ``relay join`` and no sshd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.envs.rig import SOON, Env, World
from tests.envs.test_kernel import notebook
from tests.hub.joining import JoiningPc
from tests.hub.test_joined import let_in, server_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.sshd import Sshd

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(180)]


@pytest.fixture
def gate(tmp_path: Path, places: Places) -> Iterator[Sshd]:
    """The server's own sshd."""
    with server_with(tmp_path, places) as sshd:
        yield sshd


@pytest.fixture
def dialler(
    places: Places, gate: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> Iterator[JoiningPc]:
    """A PC without internet and without kernels that may dial in, and has not yet."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    none = {"JUPYTER_DATA_DIR": str(tmp_path / "none")}
    offline = {"UV_CACHE_DIR": cache, "UV_OFFLINE": "1"}
    with JoiningPc(tmp_path / "pc", {**none, **offline}) as dialler:
        let_in(places, tmp_path / "home", dialler.public_key)
        yield dialler


@pytest.fixture
def joined(places: Places, dialler: JoiningPc, tmp_path: Path) -> Iterator[World]:
    """The server of that PC."""
    world = World(places, dialler, tmp_path / "jupyter")
    world.configure()
    yield world
    world.close()


async def test_the_environment_comes_to_a_pc_that_dials_in(
    joined: World, dialler: JoiningPc, gate: Sshd, kernel_env: Env, tmp_path: Path
) -> None:
    kernel_env.add_fake("only_here", "2.0")
    joined.install_kernel("mine", kernel_env)
    async with joined, notebook(joined, tmp_path, "mine") as opened:
        assert (await opened.run("import only_here; x = only_here.version")).target == "local"
        dialler.join(gate.address)
        there = await opened.run_on("pc", "import sys; print(x, sys.prefix)", within=SOON)
        assert there.text().split() == ["2.0", str(joined.mirror("mine").current)]

        # What is installed later, after a cut of the line, comes the same way.
        assert gate.kill_connections()
        kernel_env.add_fake("later", "3.0")
        assert await joined.plane.caught_up("mine", "pc", SOON)
        moved = await opened.run_on("pc", "import later; print(later.version)", within=SOON)
        assert moved.text() == "3.0\n"
