"""The channel that the tests of conda share: Pythons, a kernel, and what only conda has."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.envs.conda import CondaChannel, CondaPackage, copyable, packages_of, python_package
from tests.envs.rig import Env
from tests.suites.pythons import sys_minor


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> CondaChannel:
    """A channel with Pythons, a kernel, and what only conda has."""
    pythons = copyable()
    if sys_minor() not in pythons:
        text = f"needs a Python {sys_minor()} that is none of Debian's, to pack it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(text)
    folder = tmp_path_factory.mktemp("conda")
    made = CondaChannel(folder)
    others = [minor for minor in pythons if minor not in {sys_minor(), "3.9", "3.10"}]
    made.minors = [sys_minor(), *others[:1]]
    asyncio.run(_fill(made, pythons, folder))
    return made


async def _fill(made: CondaChannel, pythons: dict[str, Path], folder: Path) -> None:
    packages: list[CondaPackage] = []
    # What is for every Python is kept as it is for that of the tests.
    for minor in reversed(made.minors):
        env = Env.make(folder / f"of-{minor}", pythons[minor])
        env.install("ipykernel", "numpy", "six==1.16.0")
        of_wheels = packages_of(env, minor)
        made.versions[minor] = {each.name: each.version for each in of_wheels}
        packages += [python_package(minor, pythons[minor]), *of_wheels]
    await made.publish(*packages, *_of_conda_alone(sys_minor()))


def _of_conda_alone(minor: str) -> list[CondaPackage]:
    """A program with its library, what this needs, and packages of Python that no index has."""
    program = Path(os.path.realpath(shutil.which("true") or "/bin/true"))
    files = {"bin/ctool": program, "lib/libctool.so.2": b"\x7fELF"}
    return [
        CondaPackage("ctool", "2.0", files, ["libbase"]),
        CondaPackage("libbase", "1.0", {"lib/libbase.so.1": b"\x7fELF"}),
        CondaPackage("meta-of-all", "1.0", {}, ["ctool"]),
        _python_only("condapure", "1.2", "py3-none-any", minor),
        _python_only("condanative", "3.4", f"cp{minor.replace('.', '')}-none-linux_x86_64", minor),
    ]


def _python_only(name: str, version: str, tag: str, minor: str) -> CondaPackage:
    noarch = tag.endswith("-any")
    site = "site-packages" if noarch else f"lib/python{minor}/site-packages"
    info = f"{site}/{name}-{version}.dist-info"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    record = [f"{name}.py,,", f"{name}-{version}.dist-info/METADATA,,"]
    record += [f"{name}-{version}.dist-info/{each},," for each in ("WHEEL", "RECORD")]
    files: dict[str, Any] = {
        f"{site}/{name}.py": f"version = {version!r}\n".encode(),
        f"{info}/METADATA": text.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        f"{info}/RECORD": ("\n".join(record) + "\n").encode(),
        f"{info}/INSTALLER": b"conda\n",
    }
    python = "python" if noarch else f"python {minor}.*"
    return CondaPackage(name, version, files, [python], noarch, minor="" if noarch else minor)
