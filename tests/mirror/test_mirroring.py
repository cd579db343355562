"""Mirrors on the disk: what is written, what follows, what goes, and what is never touched."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.mirror.rig import Jupyter


def read(folder: Path) -> dict:
    return json.loads((folder / "kernel.json").read_text())


def everything_in(folder: Path) -> dict[str, bytes | str]:
    """Path -> content, of all that lies in a folder."""
    return {
        str(path): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def test_each_python_kernel_gets_a_mirror_that_any_client_finds(jupyter: Jupyter) -> None:
    jupyter.install_kernel("science", "--display-name", "Science", "--env", "WORD", "one")
    jupyter.mirror()
    listed = jupyter.listed()
    assert {"python3", "relay-python3", "science", "relay-science"} <= set(listed)
    mirror, original = listed["relay-science"], listed["science"]
    assert mirror["resource_dir"] == str(jupyter.kernels / "relay-science")
    assert mirror["spec"]["argv"][0] == str(jupyter.python)
    assert mirror["spec"]["display_name"] == "Science (relay)"
    assert mirror["spec"]["env"] == {"WORD": "one"}
    marked = mirror["spec"]["metadata"]
    assert marked.pop("relay_kernel")["original"] == "science"
    assert marked == original["spec"]["metadata"]
    logos = {name.name for name in Path(original["resource_dir"]).glob("logo-*")}
    assert logos
    for logo in logos:
        copy = jupyter.kernels / "relay-science" / logo
        assert copy.read_bytes() == (Path(original["resource_dir"]) / logo).read_bytes()


def test_programs_are_told_what_was_done(jupyter: Jupyter) -> None:
    said = json.loads(jupyter.mirror("--json"))
    assert said["mirrors"]["relay-python3"] == "python3"
    assert "relay-python3" in said["written"]
    assert (said["removed"], said["left_out"]) == ([], {})
    assert "relay-python3" in json.loads(jupyter.mirror("--json", "--clean"))["removed"]


def test_others_can_read_what_is_written(jupyter: Jupyter) -> None:
    jupyter.mirror()
    folder = jupyter.kernels / "relay-python3"
    assert folder.stat().st_mode & 0o777 == 0o777 & ~_umask()
    assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o666 & ~_umask()}


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def test_nothing_is_done_twice(jupyter: Jupyter) -> None:
    jupyter.write_spec("science")
    assert "relay-science (new)" in jupyter.mirror()
    before = {path: path.stat() for path in jupyter.kernels.rglob("*")}
    assert "relay-science (there)" in jupyter.mirror()
    after = {path: path.stat() for path in jupyter.kernels.rglob("*")}
    assert {p: (s.st_ino, s.st_mtime_ns) for p, s in after.items()} == {
        p: (s.st_ino, s.st_mtime_ns) for p, s in before.items()
    }


def test_a_mirror_follows_its_original(jupyter: Jupyter) -> None:
    folder = jupyter.write_spec("science")
    (folder / "logo-32x32.png").write_bytes(b"small")
    (folder / "logo-64x64.png").write_bytes(b"large")
    jupyter.mirror()
    (folder / "logo-32x32.png").unlink()
    (folder / "logo-64x64.png").write_bytes(b"larger")
    jupyter.write_spec("science", display_name="Art", metadata={"debugger": False})
    jupyter.mirror()
    mirror = jupyter.kernels / "relay-science"
    assert read(mirror)["display_name"] == "Art (relay)"
    assert read(mirror)["metadata"]["debugger"] is False
    assert not (mirror / "logo-32x32.png").exists()
    assert (mirror / "logo-64x64.png").read_bytes() == b"larger"


def remove_it(jupyter: Jupyter, folder: Path) -> None:
    shutil.rmtree(folder)


def remove_its_interpreter(jupyter: Jupyter, folder: Path) -> None:
    (jupyter.home / "python").unlink()


def make_it_another_language(jupyter: Jupyter, folder: Path) -> None:
    jupyter.write_spec("science", language="R")


def make_it_a_relay_kernel(jupyter: Jupyter, folder: Path) -> None:
    jupyter.write_spec("science", argv=["python", "-m", "relay_kernel", "-f", "x"])


@pytest.mark.parametrize(
    "change",
    [remove_it, remove_its_interpreter, make_it_another_language, make_it_a_relay_kernel],
)
def test_a_mirror_goes_with_its_original(
    jupyter: Jupyter, change: Callable[[Jupyter, Path], None]
) -> None:
    (jupyter.home / "python").symlink_to(jupyter.python)
    command = [str(jupyter.home / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    folder = jupyter.write_spec("science", argv=command)
    jupyter.mirror()
    assert (jupyter.kernels / "relay-science").exists()
    change(jupyter, folder)
    assert "removed relay-science" in jupyter.mirror()
    assert not (jupyter.kernels / "relay-science").exists()
    assert "relay-science" not in jupyter.listed()


def test_what_is_not_ours_is_never_touched(jupyter: Jupyter) -> None:
    for name in ("one", "two", "three", "four"):
        jupyter.write_spec(name)
    jupyter.write_spec("relay-one", display_name="Mine")
    jupyter.write_spec("relay-two", jupyter.kernels, display_name="Mine")
    (jupyter.kernels / "relay-three").symlink_to(jupyter.user_kernels / "three")
    (jupyter.kernels / "relay-four").write_text("a file")
    jupyter.write_spec("relay-gone", jupyter.kernels, metadata={"relay_kernel": "mine"})
    before = everything_in(jupyter.kernels) | everything_in(jupyter.user_kernels)
    said = jupyter.mirror()
    for name in ("one", "two", "three", "four"):
        line = f"not mirrored: relay-{name} is there, and was not written by relay-kernel"
        assert line in said
    after = everything_in(jupyter.kernels) | everything_in(jupyter.user_kernels)
    assert before.items() <= after.items()
    jupyter.run("relay_kernel.cli", "kernelspecs", "--clean")
    assert everything_in(jupyter.kernels) | everything_in(jupyter.user_kernels) == before


def test_relay_kernels_have_no_mirrors(jupyter: Jupyter) -> None:
    jupyter.write_spec("relay", argv=["python", "-m", "relay_kernel", "-f", "{connection_file}"])
    jupyter.mirror()
    said = jupyter.mirror()
    assert not [name for name in jupyter.listed() if name.startswith("relay-relay")]
    assert "not mirrored" not in said


def test_what_cannot_be_mirrored_is_said(jupyter: Jupyter) -> None:
    jupyter.write_spec("ir", argv=["R", "--slave"], language="R")
    jupyter.write_spec("xpython", argv=["xpython", "-f", "{connection_file}"])
    (jupyter.write_spec("broken") / "kernel.json").write_text("{")
    said = jupyter.mirror()
    assert "not mirrored: it is a kernel for R" in said
    assert "not mirrored: there is no ipykernel behind it" in said
    assert "not mirrored: it cannot be read: " in said
    assert "relay-python3 (new)" in said


def test_many_at_once_do_not_disturb_one_another(jupyter: Jupyter) -> None:
    for number in range(12):
        jupyter.write_spec(f"k{number}")
    command = [str(jupyter.python), "-m", "relay_kernel.cli", "kernelspecs"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    several = [subprocess.Popen(command, env=jupyter.env, text=True, **pipes) for _ in range(4)]
    for process in several:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    listed = jupyter.listed()
    assert {f"relay-k{number}" for number in range(12)} <= set(listed)
    assert not list(jupyter.kernels.glob(".relay-kernel-*"))


def test_an_original_that_goes_meanwhile_gets_no_mirror_again(jupyter: Jupyter) -> None:
    """Another process has just removed its mirror, and this one looked shortly before."""
    jupyter.mirror()
    science = jupyter.write_spec("science")
    lock = os.open(jupyter.kernels, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    command = [str(jupyter.python), "-m", "relay_kernel.cli", "kernelspecs", "--json"]
    process = subprocess.Popen(command, env=jupyter.env, text=True, stdout=subprocess.PIPE)
    wait_blocked(process.pid)
    shutil.rmtree(science)
    os.close(lock)
    said, _ = process.communicate(timeout=60)
    assert json.loads(said)["written"] == []
    assert not (jupyter.kernels / "relay-science").exists()


def test_what_a_crash_left_is_cleared(jupyter: Jupyter) -> None:
    left = jupyter.kernels / ".relay-kernel-abc" / "relay-python3"
    left.mkdir(parents=True)
    (left / "kernel.json").write_text("{}")
    assert set(jupyter.listed()) == {"python3"}
    jupyter.mirror()
    assert not left.parent.exists()


def test_a_mirror_stays_as_long_as_its_original_is_somewhere(
    jupyter: Jupyter, tmp_path: Path
) -> None:
    """Another Jupyter of this environment has other folders: they do not fight."""
    jupyter.write_spec("science")
    jupyter.mirror()
    other = {**jupyter.env, "JUPYTER_DATA_DIR": str(tmp_path)}
    mine, theirs = jupyter.env, other
    jupyter.env = theirs
    jupyter.write_spec("art")
    jupyter.write_spec("science", display_name="Another")
    jupyter.mirror()
    assert (jupyter.kernels / "relay-science").exists()
    before = everything_in(jupyter.kernels)
    jupyter.env = mine
    jupyter.mirror()
    jupyter.env = theirs
    jupyter.mirror()
    assert everything_in(jupyter.kernels) == before
    shutil.rmtree(tmp_path / "kernels" / "art")
    jupyter.env = mine
    jupyter.mirror()
    assert not (jupyter.kernels / "relay-art").exists()


def test_what_a_newer_version_wrote_is_left_to_it(jupyter: Jupyter) -> None:
    jupyter.mirror()
    path = jupyter.kernels / "relay-python3" / "kernel.json"
    spec = json.loads(path.read_text())
    spec["metadata"]["relay_kernel"] |= {"format": 99, "digest": "new", "more": 1}
    path.write_text(json.dumps(spec))
    jupyter.mirror()
    assert json.loads(path.read_text()) == spec


def test_clean_removes_all_of_ours(jupyter: Jupyter) -> None:
    jupyter.write_spec("science")
    before = everything_in(jupyter.home)
    jupyter.mirror()
    assert everything_in(jupyter.kernels)
    said = jupyter.run("relay_kernel.cli", "kernelspecs", "--clean")
    assert said.strip() == "removed relay-python3, relay-science"
    assert not everything_in(jupyter.kernels)
    assert before.items() <= everything_in(jupyter.home).items()
    said = jupyter.run("relay_kernel.cli", "kernelspecs", "--clean")
    assert said.strip() == "there was nothing to remove"


@pytest.fixture
def somebody(jupyter: Jupyter) -> Jupyter:
    """The same Jupyter, used by somebody who may not write into its environment."""
    jupyter.restrict()
    jupyter.kernels.mkdir(parents=True)
    jupyter.kernels.chmod(0o555)
    return jupyter


def test_an_environment_that_is_read_only_leaves_the_users_own_folder(somebody: Jupyter) -> None:
    somebody.mirror()
    listed = somebody.listed()
    assert listed["relay-python3"]["resource_dir"] == str(somebody.user_kernels / "relay-python3")
    assert not list(somebody.kernels.iterdir())


def test_nowhere_to_write_is_one_line(somebody: Jupyter) -> None:
    somebody.user_kernels.mkdir(parents=True)
    somebody.user_kernels.chmod(0o555)
    said = somebody.run("relay_kernel.cli", "kernelspecs", check=False)
    line = f"kernelspecs can be written neither to {somebody.kernels} nor to "
    assert said.splitlines()[-1] == f"relay: {line}{somebody.user_kernels}"


def test_mirrors_move_to_the_environment_once_that_can_be_written(somebody: Jupyter) -> None:
    somebody.mirror()
    somebody.kernels.chmod(0o755)
    somebody.mirror()
    assert somebody.listed()["relay-python3"]["resource_dir"].startswith(str(somebody.kernels))
    assert not list(somebody.user_kernels.iterdir())


def test_a_mirror_is_whole_or_absent_for_whoever_reads_meanwhile(jupyter: Jupyter) -> None:
    """A client that lists kernels while they are written meets no half of one."""
    for number in range(30):
        jupyter.write_spec(f"k{number}")
    command = [str(jupyter.python), "-m", "relay_kernel.cli", "kernelspecs"]
    writes = subprocess.Popen(command, env=jupyter.env, stdout=subprocess.DEVNULL)
    met = 0
    while writes.poll() is None:
        for path in jupyter.kernels.glob("relay-*/kernel.json"):
            assert json.loads(path.read_text())["argv"]
            met += 1
    assert writes.returncode == 0
    assert met


def test_an_empty_folder_is_nobodys(jupyter: Jupyter) -> None:
    (jupyter.kernels / "relay-python3").mkdir(parents=True)
    assert "relay-python3 (new)" in jupyter.mirror()
    assert "relay-python3" in jupyter.listed()
