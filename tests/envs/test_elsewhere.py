"""PCs that have less in common with the server: no internet and no cache, or another user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.rig import REPO
from tests.envs.rig import Env, World, a_world, project
from tests.security.conftest import Stranger, stranger
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.settings.paths import Places

__all__ = ["stranger"]

pytestmark = pytest.mark.timeout(180)

#: What leads to the internet from here.
NETWORK = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "UV_INDEX_URL")


async def test_a_pc_without_internet_gets_everything_from_the_server(
    places: Places, tmp_path: Path, kernel_env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compiled, what brings commands and what brings data files included."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    with a_world(places, tmp_path, tmp_path / "jupyter", {"UV_OFFLINE": "1"}) as world:
        world.install_kernel("mine", kernel_env)
        async with world:
            await world.phase("mine", "ready")
            assert world.state("mine")["drift"] == []
            assert (
                world.run("mine", "import zmq, tornado, ipykernel.kernelapp; print('ok')") == "ok"
            )
            environment = world.mirror("mine").current
            assert environment is not None
            assert (environment / "share/jupyter/kernels/python3/kernel.json").exists()
            command = [environment / "bin" / "jupyter-kernelspec", "list", "--json"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert "python3" in json.loads(said)["kernelspecs"]


async def test_a_pc_with_internet_gets_from_an_index_what_that_has(
    places: Places, tmp_path: Path, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the rest, here a kernel that nobody else knows, from the server."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    env.install("six==1.17.0")
    network = {key: value for key, value in os.environ.items() if key in NETWORK}
    with a_world(places, tmp_path, tmp_path / "jupyter", network) as world:
        world.install_kernel("mine", env)
        async with world:
            await world.phase("mine", "ready")
            assert world.versions("mine") == {"six": "1.17.0", "ipykernel": "0.0.1"}
            assert list((world.pc.home / ".cache" / "uv").rglob("six-1.17.0*"))


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may look into."""
    folder = Path(tempfile.mkdtemp(prefix="shared-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_a_pc_of_another_user(
    places: Places,
    tmp_path: Path,
    shared: Path,
    stranger: Stranger,
    env: Env,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing there is ours: neither the home, nor the interpreter, nor the cache."""
    system = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if _suits(p)), None)
    if system is None:
        pytest.skip("needs a Python of the system of the same version as this one")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    # As `pip install relay-kernel` in an environment of that user's would have it.
    agent = Env.make(shared / "agent", system)
    agent.install(*(["-e"] if _readable(REPO) else []), REPO)
    # With no password at all the account would be a locked one.
    subprocess.run(["usermod", "-p", "*", stranger.name], check=True)
    with Sshd(shared / "pc", env={"UV_OFFLINE": "1"}) as pc:
        pc.user = stranger.name
        pc.install_agent(agent.python)
        for path in (pc.home, *pc.home.rglob("*")):
            shutil.chown(path, stranger.name, stranger.name)
        pc.pair(places)
        env.install("-e", project(tmp_path / "demo", "demo", "x = 1\n"))
        world = World(places, pc, tmp_path / "jupyter")
        world.configure()
        world.install_kernel("mine", env)
        async with world:
            await world.phase("mine", "ready")
            assert world.run("mine", "import demo; print(demo.x)") == "1"
            ours = [p for p in world.root.rglob("*") if "__pycache__" not in p.parts]
            assert {path.lstat().st_uid for path in ours} == {pwd.getpwnam(stranger.name).pw_uid}
            assert world.root.stat().st_mode & 0o077 == 0
        world.close()


def _suits(python: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    if not os.access(python, os.X_OK):
        return False
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "{}.{}".format(*sys.version_info[:2])


def _readable(folder: Path) -> bool:
    """Whether everybody may read what is in a folder."""
    return all(each.stat().st_mode & 0o005 == 0o005 for each in (folder, *folder.parents))
