"""What an interpreter says of its environment, and when it is not asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core.blueprint import Origin
from relay_kernel.envs.describe import Descriptions, describe
from relay_kernel.envs.errors import EnvError
from relay_kernel.envs.sources import Editable, folders
from relay_kernel.envs.wanted import blueprint
from tests.envs.rig import Env, project
from tests.envs.test_elsewhere import shared
from tests.suites.pythons import MINORS, interpreters

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shared"]

#: Seconds for an environment of 100 packages on a machine that does nothing else.
QUICK = 0.15
#: The user of that name, on every Linux.
NOBODY = 65534


@pytest.fixture
def bare(tmp_path: Path) -> Env:
    """An environment with nothing in it."""
    return Env.make(tmp_path / "env")


def origins(env: Env) -> dict[str, Origin]:
    return {each.name: each.origin for each in blueprint(describe(env.python)).packages}


@pytest.mark.parametrize("minor", MINORS)
def test_every_python_says_what_it_has(minor: str, tmp_path: Path) -> None:
    python = interpreters().get(minor)
    if python is None:
        pytest.skip(f"there is no Python {minor} here")
    env = Env.make(tmp_path / "env", python)
    env.add_fake("Some.Name", "2.0")
    found = describe(env.python)
    assert found.python == minor
    assert found.prefix == str(env.folder)
    assert found.packages["some-name"]["version"] == "2.0"


def test_where_each_package_came_from(bare: Env, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    source = project(tmp_path / "local", "local", "")
    from tests.envs.rig import uv

    uv("build", "--wheel", "--out-dir", str(wheels), str(source))
    (wheel,) = wheels.glob("*.whl")
    repository = project(tmp_path / "versioned", "versioned", "")
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    bare.install("six==1.17.0", wheel, f"git+file://{repository}")
    bare.install("-e", project(tmp_path / "demo", "demo", ""))
    assert origins(bare) == {
        "six": Origin.INDEX,
        "local": Origin.WHEEL,
        "versioned": Origin.VCS,
        "demo": Origin.EDITABLE,
    }


def test_what_is_being_installed_is_not_there_yet(bare: Env) -> None:
    bare.add_fake("half")
    (bare.site / "half-1.0.dist-info" / "RECORD").unlink()
    assert describe(bare.python).packages == {}


def test_a_package_of_conda_is_as_one_of_an_index(bare: Env) -> None:
    bare.add_fake("fromconda")
    info = bare.site / "fromconda-1.0.dist-info"
    (info / "INSTALLER").write_text("conda\n")
    (info / "direct_url.json").write_text('{"url": "file:///croot/x", "dir_info": {}}')
    assert origins(bare) == {"fromconda": Origin.INDEX}


def test_the_content_of_a_package_does_not_depend_on_where_it_is(tmp_path: Path) -> None:
    from tests.envs.rig import uv

    uv("build", "--wheel", "--out-dir", str(tmp_path), str(project(tmp_path / "p", "mine", "x=1")))
    (wheel,) = tmp_path.glob("*.whl")
    digests = set()
    for name in ("one", "another"):
        env = Env.make(tmp_path / name)
        env.install(wheel)
        digests.add(describe(env.python).packages["mine"]["content"])
    assert len(digests) == 1


def test_a_folder_among_the_sources_that_nobody_may_look_into_is_left_out(shared: Path) -> None:
    """As a database in a container leaves one in a project: no kernel would be mirrored."""
    package, locked = shared / "package", shared / "data"
    for folder in (package, locked):
        folder.mkdir()
    (package / "a.py").write_text("")
    locked.chmod(0)
    if os.getuid() == 0:
        os.seteuid(NOBODY)
    try:
        assert set(folders(Editable(shared, (shared,)))) >= {shared, package}
    finally:
        os.seteuid(os.getuid())
        locked.chmod(0o700)


def test_no_interpreter_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="does not run"):
        describe(str(tmp_path / "nowhere"))
    with pytest.raises(EnvError, match="cannot be asked"):
        describe(shutil.which("false") or "false")


@pytest.mark.alone
def test_a_hundred_packages_are_described_quickly(bare: Env) -> None:
    for number in range(100):
        bare.add_fake(f"package{number}")
    times = []
    for _ in range(5):
        began = time.perf_counter()
        assert len(describe(bare.python).packages) == 100
        times.append(time.perf_counter() - began)
    # The best of some: other tests may be at work beside this one.
    assert min(times) < QUICK


class TestWhatIsRemembered:
    @pytest.fixture
    def counted(self, bare: Env) -> Path:
        """An interpreter that writes a line for each start."""
        log = bare.folder / "starts"
        real = os.readlink(bare.python)
        os.unlink(bare.python)
        script = f'#!/bin/sh\necho started >>{log}\nexec -a "$0" {real} "$@"\n'
        with open(bare.python, "w") as file:
            file.write(script.replace("/bin/sh", "/bin/bash"))
        os.chmod(bare.python, 0o755)
        past = time.time() - 60
        for path in (bare.python, bare.site, bare.folder / "pyvenv.cfg"):
            os.utime(path, (past, past))
        return log

    def starts(self, log: Path) -> int:
        return len(log.read_text().splitlines())

    def test_nothing_changed_so_nobody_is_asked(
        self, bare: Env, counted: Path, tmp_path: Path
    ) -> None:
        first = Descriptions(tmp_path / "known.json").get(bare.python)
        again = Descriptions(tmp_path / "known.json").get(bare.python)
        assert first == again
        assert self.starts(counted) == 1

    def test_what_to_watch_is_known_also_of_what_is_not_remembered(
        self, bare: Env, tmp_path: Path
    ) -> None:
        known = Descriptions(tmp_path / "known.json")
        os.utime(bare.site)
        known.get(bare.python)
        assert str(bare.site) in known.sites(bare.python)

    def test_a_new_package_is_seen(self, bare: Env, counted: Path, tmp_path: Path) -> None:
        known = Descriptions(tmp_path / "known.json")
        known.get(bare.python)
        bare.add_fake("new")
        assert "new" in known.get(bare.python).packages
        assert self.starts(counted) == 2

    def test_what_changed_a_moment_ago_is_not_trusted(
        self, bare: Env, counted: Path, tmp_path: Path
    ) -> None:
        """Two changes may fall into one step of the clock of the file system."""
        known = Descriptions(tmp_path / "known.json")
        bare.add_fake("first")
        known.get(bare.python)
        known.get(bare.python)
        assert self.starts(counted) == 2
