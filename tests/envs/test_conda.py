"""Kernels of conda: found, described, mirrored at a PC as far as can be, and the rest named."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli import main
from relay_kernel.core.blueprint import Origin
from relay_kernel.envs.describe import Descriptions, describe
from relay_kernel.envs.wanted import blueprint
from tests.envs.conda_channel import channel
from tests.envs.rig import Env, World
from tests.envs.test_elsewhere import NETWORK, shared, stranger
from tests.envs.test_kernel import notebook
from tests.mirror.conftest import jupyter
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.settings.paths import Places
    from tests.envs.conda import CondaChannel, CondaEnv
    from tests.mirror.rig import Jupyter
    from tests.security.conftest import Stranger

__all__ = ["channel", "jupyter", "shared", "stranger"]

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
def pc_of(stranger: Stranger, places: Places, folder: Path, python: str) -> Iterator[Sshd]:
    """The PC of another user, with the internet, and with no Python of its own on the ``PATH``.

    Args:
        stranger: whose it is.
        places: of the server.
        folder: everybody may look into it.
        python: what the agent there runs on.
    """
    agent = Env.make(folder / "agent", python)
    agent.install("--compile-bytecode", Path(__file__).parents[2])
    # What is compiled at a first start is kept for the next.
    for each in (agent.folder, Path(python).parents[1]):
        give(each, stranger)
    # With no password at all the account would be a locked one.
    subprocess.run(["usermod", "-p", "*", stranger.name], check=True)
    network = {key: value for key, value in os.environ.items() if key in NETWORK}
    # It fetches packages, but no Python: what there is must do.
    own = {**network, "UV_PYTHON_INSTALL_MIRROR": "file:///nowhere"}
    with Sshd(folder / "pc", env=own, path=f"{folder}/nothing:/bin") as pc:
        pc.user = stranger.name
        pc.install_agent(agent.python)
        give(pc.home, stranger)
        pc.pair(places)
        yield pc


def give(folder: Path, stranger: Stranger) -> None:
    """Make it that user's."""
    subprocess.run(["chown", "-R", f"{stranger.name}:{stranger.name}", str(folder)], check=True)


async def test_a_pc_of_another_user_has_a_python_of_conda_and_an_index(
    places: Places,
    tmp_path: Path,
    shared: Path,
    stranger: Stranger,
    channel: CondaChannel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has the kernel's Python nowhere until its owner makes an environment of conda with it."""
    if len(channel.minors) < 2:
        pytest.skip("needs a second Python, from 3.11 on, to pack it")
    minor = channel.minors[1]
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    # Where the notebook is on the server, the PC's user may not look.
    monkeypatch.chdir(tmp_path)
    install_kernel(await made(channel, tmp_path / "env", minor=minor), "science")
    base = await channel.install(
        shared / "base", f"python {channel.minors[0]}.*", cache=shared / "cache"
    )
    with (
        pc_of(stranger, places, shared, base.python) as pc,
        closing(World(places, pc, tmp_path / "jupyter")) as world,
    ):
        world.configure()
        async with world, notebook(world, tmp_path, "science") as opened:
            state = await world.phase("science", "impossible")
            assert f"there is no Python {minor} at pc" in state["why"]
            assert (await opened.run("import sys; sys.version_info[1]")).target == "local"

            theirs = pc.home / "miniforge3" / "envs" / "theirs"
            await channel.install(theirs, f"python {minor}.*", cache=shared / "cache")
            give(pc.home / "miniforge3", stranger)
            assert await world.plane.sync("science") == {"pc": ""}
            assert world.state("science")["drift"] == []
            assert world.versions("science") == in_files(channel.versions[minor])
            code = "import numpy, os, sys; print(sys.base_prefix, os.getuid(), numpy.ones(2).sum())"
            there = await opened.run_on("pc", code)
            uid = pwd.getpwnam(stranger.name).pw_uid
            assert there.text().split() == [str(theirs), str(uid), "2.0"]
            assert list((pc.home / ".cache" / "uv").rglob("numpy-*"))


def in_files(versions: dict[str, str]) -> dict[str, str]:
    """The same, with the names as folders have them."""
    return {name.replace("-", "_"): version for name, version in versions.items()}


# ---------------------------------------------------------------------- how its kernel is started


async def test_a_kernel_has_the_activation_that_it_has_without_relay(
    world: World, channel: CondaChannel, tmp_path: Path
) -> None:
    """None, where Jupyter starts its Python itself; that is so with every kernel of conda."""
    env = await made(channel, tmp_path / "env")
    script = env.folder / "etc" / "conda" / "activate.d" / "tool.sh"
    script.parent.mkdir(parents=True)
    script.write_text("export FROM_ACTIVATE=yes\n")
    install_kernel(env, "science")
    said = []
    for spec in ("science", "relay-science"):
        opened = notebook(world, tmp_path / spec, "science")
        opened.manager.kernel_name = spec
        async with opened:
            said.append((await opened.run(CONDA)).text())
    assert said[0] == said[1] == f"{os.environ.get('CONDA_PREFIX')} None\n"


#: Stands for the runner of nb_conda_kernels: it activates an environment, and runs a command in it.
RUNNER = """\
import os, sys
os.environ.update(CONDA_PREFIX=sys.argv[2], FROM_ACTIVATE="yes")
os.execv(sys.argv[3], sys.argv[3:])
"""


async def test_a_kernel_that_is_started_by_nb_conda_kernels_is_mirrored(
    world: World, channel: CondaChannel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Activated on the server as ever; at the PC it is the Python behind that."""
    package = tmp_path / "others" / "nb_conda_kernels"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "runner.py").write_text(RUNNER)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    env = await made(channel, tmp_path / "conda" / "envs" / "science")
    starter = ["python", "-m", "nb_conda_kernels.runner", str(tmp_path / "conda"), str(env.folder)]
    argv = [*starter, env.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    world.install_kernel("conda-env-science-py", env, argv=argv)
    async with world, notebook(world, tmp_path, "conda-env-science-py") as opened:
        here = await opened.run(f"%%relay local\n{CONDA}")
        assert here.text() == f"{env.folder} yes\n"
        there = await opened.run_on("pc", "import sys; print(sys.prefix)")
        assert there.text() == f"{world.mirror('conda-env-science-py').current}\n"


async def test_it_is_listed_as_soon_as_it_is_installed(
    channel: CondaChannel, jupyter: Jupyter, tmp_path: Path
) -> None:
    env = await made(channel, tmp_path / "env")
    async with jupyter.server() as server:
        await server.kernelspecs()
        jupyter.install_kernel("science", "--display-name", "Science", python=Path(env.python))
        await server.lists(lambda found: "relay-science" in found)
        id_ = await server.start_kernel("relay-science")
        assert id_ in (await server.get("/api/kernels")).decode()
    assert jupyter.listed()["relay-science"]["spec"]["display_name"] == "Science (relay)"
