"""Kernels of conda: found, described, mirrored at a PC as far as can be, and the rest named."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli import main
from relay_kernel.core.blueprint import Origin
from relay_kernel.envs.describe import Descriptions, describe
from relay_kernel.envs.wanted import blueprint
from tests.envs.conda_channel import channel
from tests.envs.rig import Env, World
from tests.envs.test_elsewhere import NETWORK, stranger
from tests.envs.test_kernel import notebook
from tests.mirror.conftest import jupyter
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.settings.paths import Places
    from tests.envs.conda import CondaChannel, CondaEnv
    from tests.security.conftest import Stranger

__all__ = ["channel", "jupyter", "stranger"]

pytestmark = pytest.mark.timeout(240)

#: What the environments have, beside Python.
KERNEL = ("ipykernel", "numpy", "six 1.16.0")
#: What a kernel says of its environment.
CONDA = "import os; print(os.environ.get('CONDA_PREFIX'), os.environ.get('FROM_ACTIVATE'))"


async def made(channel: CondaChannel, folder: Path, *more: str, minor: str = "") -> CondaEnv:
    """A new environment of conda with a kernel; by default of the Python of the tests."""
    return await channel.install(folder, f"python {minor or channel.minors[0]}.*", *KERNEL, *more)


def install_kernel(env: Env, name: str) -> None:
    """As a person does it."""
    command = [env.python, "-m", "ipykernel", "install", "--user", "--name", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


class TestWhatThereIs:
    async def test_it_is_described_as_conda_has_made_it(
        self, channel: CondaChannel, tmp_path: Path
    ) -> None:
        env = await made(channel, tmp_path / "env", "ctool", "meta-of-all", "condanative")
        found = describe(env.python)
        assert found.conda
        assert found.prefix == str(env.folder)
        assert "pip" not in found.packages
        has = {name: about["version"] for name, about in found.packages.items()}
        assert has == {**channel.versions[channel.minors[0]], "condanative": "3.4"}
        assert {about["installer"] for about in found.packages.values()} == {"conda"}
        assert {each.origin for each in blueprint(found).packages} == {Origin.INDEX}
        # libbase is there for ctool alone, and meta-of-all has no files.
        assert found.others == {"ctool": "2.0"}

    async def test_what_conda_has_installed_is_known_by_its_own_records(
        self, channel: CondaChannel, tmp_path: Path
    ) -> None:
        """Not every package says so itself; what pip has installed over it is pip's."""
        env = await made(channel, tmp_path / "env")
        (installer,) = env.site.glob("numpy-*.dist-info/INSTALLER")
        installer.unlink()
        env.install("six==1.17.0")
        packages = describe(env.python).packages
        assert packages["numpy"]["installer"] == "conda"
        assert packages["six"]["installer"] == "uv"

    async def test_a_program_is_seen_though_no_folder_of_packages_changes(
        self, channel: CondaChannel, tmp_path: Path
    ) -> None:
        known = Descriptions(tmp_path / "known.json")
        env = await made(channel, tmp_path / "env")
        for path in (env.site, env.folder / "conda-meta"):
            os.utime(path, (1, 1))
        assert known.get(env.python).others == {}
        assert known.get(env.python) == Descriptions(tmp_path / "known.json").get(env.python)
        await channel.install(env.folder, "ctool")
        assert known.get(env.python).others == {"ctool": "2.0"}

    def test_a_damaged_record_of_conda_is_passed_over(self, tmp_path: Path) -> None:
        env = Env.make(tmp_path / "env")
        records = env.folder / "conda-meta"
        records.mkdir()
        for name, text in {"half": '{"name": "ha', "list": "[]", "none": '{"name": null}'}.items():
            (records / f"{name}.json").write_text(text)
        old = {"name": "old", "version": "1", "requested_spec": "None", "files": ["bin/old"]}
        (records / "old-1-0.json").write_text(json.dumps(old))
        assert describe(env.python).others == {"old": "1"}


# ---------------------------------------------------------------------- at a PC


async def test_its_kernel_is_mirrored_and_stays_equal(
    world: World, channel: CondaChannel, tmp_path: Path
) -> None:
    env = await made(channel, tmp_path / "env")
    install_kernel(env, "science")
    async with world, notebook(world, tmp_path, "science") as opened:
        there = await opened.run_on("pc", "import numpy, sys; print(numpy.__version__, sys.prefix)")
        numpy = channel.versions[channel.minors[0]]["numpy"]
        assert there.text().split() == [numpy, str(world.mirror("science").current)]
        assert world.state("science")["drift"] == []

        # What conda installs later comes after; what pip installs over it, too.
        await channel.install(env.folder, "condapure")
        await world.until(lambda: "condapure" in world.versions("science"))
        later = await opened.run("import condapure; condapure.version")
        assert (later.target, later.value) == ("pc", "'1.2'")
        env.install("six==1.17.0")
        await world.until(lambda: world.versions("science").get("six") == "1.17.0")
        await world.until(lambda: world.state("science")["phase"] == "ready")

        # A program cannot, and is named; nothing is built for it.
        before = world.mirror("science").current
        await channel.install(env.folder, "ctool")
        line = "ctool 2.0 of conda: no Python package, on the server only"
        await world.until(lambda: line in world.state("science")["drift"])
        assert world.state("science")["phase"] == "ready"
        assert world.mirror("science").current == before
        world.configure(without=["ctool"])
        await world.until(lambda: world.state("science")["drift"] == [])


async def test_what_is_of_conda_alone_is_named_and_runs_on_the_server(
    world: World, channel: CondaChannel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = await made(channel, tmp_path / "env", "condapure", "condanative", "ctool")
    install_kernel(env, "science")
    async with world, notebook(world, tmp_path, "science") as opened:
        state = await world.phase("science", "impossible")
        assert "it cannot be mirrored: condanative 3.4 is of conda alone" in state["why"]
        ran = await opened.run("import condanative, numpy; condanative.version")
        assert (ran.target, ran.value) == ("local", "'3.4'")
        await world.until(lambda: "impossible" in shown(capsys))
        said = " ".join(shown(capsys).split())
        assert "condanative 3.4 is of conda alone" in said
        assert "ctool 2.0 of conda: no Python package, on the server only" in said
        # What is pure Python is sent, though no index has it.
        world.configure(without=["condanative"])
        there = await opened.run_on("pc", "import condapure; print(condapure.version)")
        assert there.text() == "1.2\n"


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    """What ``relay kernels`` prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "400")
        assert main(["kernels"]) == 0
    return capsys.readouterr().out


@contextmanager
def pc_of(stranger: Stranger, places: Places, folder: Path, own: CondaEnv | None) -> Iterator[Sshd]:
    """The PC of another user, with the internet, whose only Pythons are of conda."""
    agent = Env.make(folder / "agent", own.python if own else stranger.python)
    agent.install(Path(__file__).parents[2])
    subprocess.run(["usermod", "-p", "*", stranger.name], check=True)
    network = {key: value for key, value in os.environ.items() if key in NETWORK}
    with Sshd(folder / "pc", env=network, path="/nowhere:/bin") as pc:
        pc.user = stranger.name
        pc.install_agent(agent.python)
        give(pc.home, stranger)
        pc.pair(places)
        yield pc


def give(folder: Path, stranger: Stranger) -> None:
    """Make it that user's."""
    subprocess.run(["chown", "-R", f"{stranger.name}:{stranger.name}", str(folder)], check=True)
