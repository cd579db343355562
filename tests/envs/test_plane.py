"""Environments of the server are mirrored at a PC, over a real sshd, and stay equal."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from relay_kernel.envs.errors import EnvError
from tests.e2e.rig import processes_of
from tests.envs.rig import SOON, Env, World, project, uv
from tests.suites.pythons import interpreters, sys_minor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

#: Seconds for a look at an environment that did not change; the machine may be busy with others.
QUICK = 0.5


def wheel(folder: Path, name: str, code: str, version: str = "1.0") -> Path:
    """A wheel of a package of one's own."""
    made = folder / "dist"
    uv("build", "--wheel", "--out-dir", str(made), str(project(folder, name, code, version)))
    (found,) = made.glob("*.whl")
    return found


@contextmanager
def kernel(world: World, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs in the environment at the PC until it is spoken to; then it does that."""
    environment = world.mirror(name).current
    assert environment is not None
    code = "import sys; print('up', flush=True); exec(sys.stdin.read())"
    process = subprocess.Popen(
        [world.mirror(name).python(environment), "-c", code],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": "/"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def builders(world: World) -> list[psutil.Process]:
    return [p for p in processes_of(world.pc.relay_home) if "--envs" in p.cmdline()]


@pytest.mark.alone
async def test_an_environment_is_built_and_stays_equal(
    world: World, env: Env, tmp_path: Path
) -> None:
    """From nothing, over new, changed and removed packages, with one that a person added there."""
    env.install("six==1.16.0")
    env.add_fake("own", "2.0")
    world.install_kernel("mine", env)
    async with world:
        await world.phase("mine", "ready")
        assert world.state("mine")["drift"] == []
        wanted = {each.name.rpartition(".")[0] for each in env.site.glob("*.dist-info")}
        first = world.mirror("mine").current
        assert first is not None
        have = {
            info.name.rpartition(".")[0] for info in first.glob("lib/*/site-packages/*.dist-info")
        }
        assert have == wanted
        assert world.run("mine", "import own; print(own.version)") == "2.0"

        # A look at what did not change starts no interpreter on either side.
        began = time.perf_counter()
        assert await world.plane.sync("mine") == {"pc": ""}
        assert time.perf_counter() - began < QUICK

        # What is new is put into the environment that is in use.
        with kernel(world, "mine") as running:
            env.add_fake("later", "3.0")
            assert await world.plane.caught_up("mine", "pc", SOON)
            assert world.mirror("mine").current == first
            said, _ = running.communicate("import later; print(later.version)")
            assert said == "3.0\n"

        # What a person has installed there stays, and is shown.
        Env(first).add_fake("theirs", "4.0")
        await world.until(
            lambda: "theirs 4.0 is only there, and stays" in world.state("mine")["drift"]
        )

        # Another version is built beside, and what is used is not pulled away.
        with kernel(world, "mine") as running:
            env.install("six==1.17.0")
            env.remove("own")
            await world.until(lambda: world.versions("mine").get("six") == "1.17.0")
            await world.until(lambda: world.state("mine")["phase"] == "ready")
            second = world.mirror("mine").current
            assert second not in {None, first}
            said, _ = running.communicate("import own, six; print(own.version, six.__version__)")
            assert said == "2.0 1.16.0\n"
        await world.until(lambda: "own" not in world.versions("mine"))
        assert world.versions("mine")["theirs"] == "4.0"
        assert world.run("mine", "import theirs; print(theirs.version)") == "4.0"

        # The old one goes with the next change, since nobody uses it any more.
        env.install("six==1.16.0")
        await world.until(lambda: world.versions("mine").get("six") == "1.16.0")
        await world.until(lambda: not first.exists())

        # A kernel that is removed takes its environment with it.
        (world.data / "kernels" / "mine" / "kernel.json").unlink()
        await world.until(lambda: not world.mirror("mine").folder.exists())
        assert "mine" not in world.plane.status()


async def test_local_packages_are_sent_by_content(world: World, env: Env, tmp_path: Path) -> None:
    repository = project(tmp_path / "versioned", "versioned", "x = 'vcs'\n")
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    env.install(wheel(tmp_path / "one", "local", "x = 1\n"), f"git+file://{repository}")
    world.install_kernel("mine", env)
    async with world:
        await world.phase("mine", "ready")
        said = world.run("mine", "import local, versioned; print(local.x, versioned.x)")
        assert said == "1 vcs"
        env.install("--reinstall", wheel(tmp_path / "two", "local", "x = 2\n"))
        assert await world.plane.caught_up("mine", "pc", SOON)
        assert world.run("mine", "import local; print(local.x)") == "2"


async def test_an_editable_package_is_kept_fresh(world: World, env: Env, tmp_path: Path) -> None:
    source = project(tmp_path / "demo", "demo", "from demo.inner import x\n") / "src" / "demo"
    (source / "inner.py").write_text("x = 1\n")
    flat = tmp_path / "flat"
    (flat / "flat").mkdir(parents=True)
    (flat / "flat" / "__init__.py").write_text("y = 1\n")
    (flat / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='flat', version='1.0', packages=['flat'])\n"
    )
    env.install("-e", source.parents[1], "-e", flat)
    world.install_kernel("mine", env)
    async with world:
        await world.phase("mine", "ready")
        first = world.mirror("mine").current
        code = "import demo, flat; print(demo.x, flat.y, demo.__file__.split('/')[1])"
        assert world.run("mine", code) == "1 1 tmp"
        assert str(world.root) in world.run("mine", "import demo; print(demo.__file__)")

        (source / "inner.py").write_text("from demo.fresh import x\n")
        (source / "fresh.py").write_text("x = 2\n")
        (flat / "flat" / "__init__.py").write_text("y = 2\n")
        assert await world.plane.caught_up("mine", "pc", SOON)
        assert world.run("mine", "import demo, flat; print(demo.x, flat.y)") == "2 2"
        assert world.mirror("mine").current == first

        # And without anybody asking.
        (source / "fresh.py").unlink()
        (source / "inner.py").write_text("x = 3\n")
        copied = world.mirror("mine").sources("demo") / "src" / "demo"
        await world.until(lambda: not (copied / "fresh.py").exists())
        assert world.run("mine", "import demo; print(demo.x)") == "3"
        assert (copied / "inner.py").stat().st_mtime == (source / "inner.py").stat().st_mtime


async def test_what_cannot_be_mirrored_is_named_and_may_be_done_without(
    world: World, env: Env
) -> None:
    env.add_fake("fromconda")
    (env.site / "fromconda-1.0.dist-info" / "INSTALLER").write_text("conda\n")
    wheel_file = env.site / "fromconda-1.0.dist-info" / "WHEEL"
    wheel_file.write_text("Wheel-Version: 1.0\nTag: cp311-cp311-linux_x86_64\n")
    env.add_fake("fromdebian")
    info = env.site / "fromdebian-1.0.dist-info"
    (info / "INSTALLER").write_text("debian\n")
    (info / "RECORD").unlink()
    world.install_kernel("mine", env)
    async with world:
        state = await world.phase("mine", "impossible")
        assert "fromconda 1.0 is of conda alone" in state["why"]
        assert "fromdebian 1.0 is a package of the server's system" in state["why"]
        await world.until(lambda: (note := world.mirror("mine").note) and note.blocks)
        note = world.mirror("mine").note
        assert note is not None
        assert note.text.startswith("the environment of kernel mine cannot be had here: it cannot")
        assert world.mirror("mine").current is None
        # It is tried in vain whenever its folders change; a notebook that starts then is told why.
        trying = asyncio.create_task(world.plane.sync("mine"))
        while not trying.done():
            assert world.mirror("mine").note == note
            await asyncio.sleep(0)
        assert "fromconda 1.0 is of conda alone" in trying.result()["pc"]
        world.configure(without=["fromconda", "FromDebian"])
        await world.phase("mine", "ready")
        await world.until(lambda: world.mirror("mine").note is None)
        assert "fromconda" not in world.versions("mine")


async def test_a_build_that_the_pc_may_choose_comes_from_the_server_where_it_gets_no_other(
    world: World, env: Env
) -> None:
    env.add_fake("torch", "0.0.1+cpu")
    world.install_kernel("mine", env)
    async with world:
        await world.phase("mine", "ready")
        assert world.state("mine")["drift"] == []
        assert world.versions("mine")["torch"] == "0.0.1+cpu"


async def test_kernels_that_cannot_be_mirrored_say_why(world: World, tmp_path: Path) -> None:
    world.install_kernel("empty", Env.make(tmp_path / "empty"))
    world.install_kernel("gone", Env(tmp_path / "nowhere"))
    wrapped = {"argv": ["/bin/sh", "-c", "true"], "display_name": "w", "language": "python"}
    world.install_kernel("wrapped", Env(tmp_path / "empty"), **wrapped)
    async with world:
        for name, why in {
            "empty": "there is no ipykernel in",
            "gone": "its interpreter",
            "wrapped": "it starts /bin/sh, which is no Python",
        }.items():
            assert why in (await world.phase(name, "impossible"))["why"]
        with pytest.raises(EnvError, match="there is no kernelspec other that is mirrored"):
            await world.plane.sync("other")


async def test_a_python_that_the_pc_lacks_is_refused_with_the_reason(
    world: World, tmp_path: Path
) -> None:
    others = {minor: path for minor, path in interpreters().items() if minor != sys_minor()}
    # The PC has a home of its own, and knows nothing of what lies in ours.
    minor = next((m for m, path in others.items() if ".pyenv" in str(path)), None)
    if minor is None:
        pytest.skip("needs a second Python, which is not the system's")
    env = Env.make(tmp_path / "env", others[minor])
    env.add_fake("ipykernel")
    world.install_kernel("other", env)
    async with world:
        state = await world.phase("other", "impossible")
    assert f"there is no Python {minor} at pc, and uv cannot fetch one (" in state["why"]
    assert f"install python{minor} there" in state["why"]


async def test_a_builder_that_is_killed_leaves_the_old_environment_in_use(
    world: World, env: Env
) -> None:
    env.install("six==1.16.0")
    world.install_kernel("mine", env)
    async with world:
        await world.phase("mine", "ready")
        first = world.mirror("mine").current
        env.install("six==1.17.0")
        folder = world.mirror("mine").folder
        await world.until(lambda: list(folder.glob("*.partial/lib")))
        for process in builders(world):
            for each in [process, *process.children(recursive=True)]:
                each.send_signal(signal.SIGKILL)
        assert world.mirror("mine").current == first
        assert world.versions("mine")["six"] == "1.16.0"
        await world.until(lambda: world.versions("mine")["six"] == "1.17.0")
        await world.until(lambda: not list(folder.glob("*.partial")))


async def test_a_pc_that_was_away_catches_up(world: World, env: Env) -> None:
    world.install_kernel("mine", env)
    async with world:
        await world.phase("mine", "ready")
        world.pc.kill_connections()
        world.pc.stop()
        await world.until(lambda: not world.plane.links["pc"].up.is_set())
        assert not await world.plane.caught_up("mine", "pc", 1.0)
        assert world.state("mine")["phase"] == "ready"
        env.add_fake("meanwhile")
        world.pc.start()
        await world.until(lambda: "meanwhile" in world.versions("mine"))


async def test_a_newer_builder_takes_the_place_of_an_older(world: World, env: Env) -> None:
    """The older one may hang on a line that is dead."""
    world.install_kernel("mine", env)
    async with world:
        await world.phase("mine", "ready")
        (old,) = builders(world)
        old.send_signal(signal.SIGSTOP)
        await world.until(lambda: [p for p in builders(world) if p.pid != old.pid], within=30)
        await world.until(lambda: not old.is_running() or old.status() == psutil.STATUS_ZOMBIE)
        env.add_fake("later")
        await world.until(lambda: "later" in world.versions("mine"))
