"""The wheels for a PC come from what is installed here, wherever that runs there too."""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from packaging.markers import default_environment
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from relay_kernel.link.repack import repack, tags
from relay_kernel.link.wheelhouse import Machine, WheelsError, collect, describe

if TYPE_CHECKING:
    from pathlib import Path


def machine(libc: str = "2.36", **markers: str) -> Machine:
    """This machine, but for what is given."""
    known = {**default_environment(), **markers}
    return describe({"markers": known, "libc": ["glibc", libc], "mac": ""})


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No index answers."""
    for key, value in {"NO_INDEX": "1", "CONFIG_FILE": "/dev/null", "FIND_LINKS": "/no"}.items():
        monkeypatch.setenv(f"PIP_{key}", value)


def test_this_machine_takes_what_runs_here() -> None:
    here = machine(libc=platform.libc_ver()[1])
    ours = {tag for tag in sys_tags() if tag.platform.startswith(("any", "manylinux"))}
    assert ours <= here.takes()


def test_an_older_libc_takes_no_newer_wheels() -> None:
    takes = {tag.platform for tag in machine(libc="2.17").takes()}
    arch = platform.machine()
    assert f"manylinux_2_17_{arch}" in takes
    assert f"manylinux2014_{arch}" in takes
    assert f"manylinux_2_18_{arch}" not in takes
    assert f"linux_{arch}" not in takes


def test_other_systems() -> None:
    mac = describe(
        {
            "markers": {
                **default_environment(),
                "sys_platform": "darwin",
                "platform_machine": "arm64",
            },
            "libc": ["", ""],
            "mac": "14.5",
        }
    )
    assert "macosx_14_0_arm64" in mac.platforms
    alpine = describe({"markers": default_environment(), "libc": ["", ""], "mac": ""})
    assert alpine.platforms[-1].startswith("musllinux_1_0_")


@pytest.mark.parametrize("name", ["typer", "pyzmq", "ipykernel", "asyncssh"])
def test_a_package_is_packed_again(name: str, tmp_path: Path) -> None:
    package = metadata.distribution(name)
    wheel = repack(package, tmp_path)
    assert wheel is not None
    _, version, _, found = parse_wheel_filename(wheel.name)
    assert str(version) == package.version
    assert tags(package) <= found
    with zipfile.ZipFile(tmp_path / wheel.name) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert not any("__pycache__" in each or each.startswith("..") for each in names)
    assert any(each.endswith(".dist-info/METADATA") for each in names)
    assert (name != "ipykernel") or any(
        each.endswith("kernels/python3/kernel.json") for each in names
    )


def test_a_program_runs_where_pip_has_put_it(tmp_path: Path) -> None:
    """uv is one, and without it no environment is made on a PC."""
    wheel = repack(metadata.distribution("uv"), tmp_path)
    assert wheel is not None
    install = ("install", "--quiet", "--isolated", "--no-index", "--no-deps", "--ignore-installed")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", *install),
            *("--prefix", str(tmp_path / "there"), str(tmp_path / wheel.name)),
        ],
        check=True,
        timeout=60,
        capture_output=True,
    )
    said = subprocess.run(
        [str(tmp_path / "there" / "bin" / "uv"), "--version"],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert said.stdout.startswith("uv ")


def test_an_editable_install_is_not_packed(tmp_path: Path) -> None:
    package = metadata.distribution("relay-kernel")
    if "editable" not in (package.read_text("direct_url.json") or ""):
        pytest.skip("relay-kernel is not installed from a checkout here")
    assert repack(package, tmp_path) is None


def test_what_a_machine_like_this_needs_is_all_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    wheels = collect(machine(libc=platform.libc_ver()[1]), tmp_path)
    names = {parse_wheel_filename(wheel.name)[0] for wheel in wheels}
    assert wheels[0].name.startswith("relay_kernel-")
    assert {"asyncssh", "pyzmq", "ipykernel", "pip", "typer"} <= names
    assert len(names) == len(wheels)


def test_what_is_not_here_and_cannot_be_fetched_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    with pytest.raises(WheelsError) as caught:
        collect(machine(python_version="3.12", python_full_version="3.12.1"), tmp_path)
    said = str(caught.value)
    assert "pyzmq==" in said
    assert "cannot be fetched here: ERROR" in said
    assert "\n" not in said
