"""relay-kernel as it is installed from its wheel, and what is left when it is uninstalled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from tests.e2e.rig import REPO
from tests.mirror.rig import Jupyter

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for building the wheel.
PATIENCE = 120


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(REPO)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no wheel: {done.stderr[-500:]}")
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture
def installed(wheel: Path) -> Iterator[Jupyter]:
    """A Jupyter with relay-kernel from its wheel."""
    with tempfile.TemporaryDirectory(prefix="jupyter-") as home:
        yield Jupyter(Path(home), wheel)


def with_pip(jupyter: Jupyter) -> None:
    jupyter.run("pip", "uninstall", "--yes", "relay-kernel")


def with_uv(jupyter: Jupyter) -> None:
    command = ["pip", "uninstall", "--quiet", "--python", str(jupyter.python), "relay-kernel"]
    subprocess.run([find_uv_bin(), *command], check=True)


@pytest.mark.parametrize("uninstall", [with_pip, with_uv])
async def test_uninstalling_takes_everything_away(installed: Jupyter, uninstall) -> None:
    """Also while a server runs; the next one starts as if nothing had ever been there."""
    before = files_in(make_bare(installed))
    installed.write_spec("science")
    async with installed.server() as server:
        assert {"relay", "relay-science"} <= set(await server.kernelspecs())
        await server.says("wrote relay-python3, relay-science")
        await asyncio.to_thread(uninstall, installed)
        assert set(await server.kernelspecs()) == {"python3", "science"}
        # What it would have a reason to write now, it does not.
        installed.write_spec("art")
        assert set(await server.kernelspecs()) == {"python3", "science", "art"}
    assert files_in(installed.prefix) == before
    assert set(installed.listed()) == {"python3", "science", "art"}
    async with installed.server() as server:
        assert set(await server.kernelspecs()) == {"python3", "science", "art"}
    assert "relay" not in server.log


async def test_installing_again_keeps_the_mirrors(installed: Jupyter, wheel: Path) -> None:
    installed.write_spec("science")
    installed.mirror()
    command = ["pip", "install", "--quiet", "--no-deps", "--reinstall", "--python"]
    subprocess.run([find_uv_bin(), *command, str(installed.python), str(wheel)], check=True)
    async with installed.server() as server:
        assert "relay-science" in await server.kernelspecs()
        await server.says("wrote relay-python3, relay-science")
    with_pip(installed)
    assert set(installed.listed()) == {"python3", "science"}


def make_bare(jupyter: Jupyter) -> Path:
    """An environment as it was before anything was installed into it."""
    bare = Jupyter(jupyter.home / "bare", jupyter.wheel)
    with_uv(bare)
    return bare.prefix


def files_in(prefix: Path) -> set[str]:
    """All files of an environment, but compiled ones."""
    found = (path for path in prefix.rglob("*") if path.is_file() or path.is_symlink())
    return {str(path.relative_to(prefix)) for path in found if path.suffix != ".pyc"}
