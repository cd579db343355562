"""The Pythons of this machine, and environments in them as a user's kernels have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

#: Those that a user's kernel may run.
MINORS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")

#: The first use compiles what a kernel imports, also to complete; that is no part of any test.
FIRST_USE = """\
import ipykernel, ipykernel.kernelapp, ipykernel.ipkernel, jedi
jedi.Script("pri").complete(1, 3)
print(ipykernel.__version__)
"""

#: Seconds for installing a few packages.
PATIENCE = 300


def interpreters() -> dict[str, Path]:
    """By minor version, the first interpreter that works.

    Looked for in ``RELAY_TEST_PYTHONS`` (a list like ``PATH``, of interpreters), on the ``PATH``,
    and among those of pyenv.
    """
    named = [Path(name) for name in os.environ.get("RELAY_TEST_PYTHONS", "").split(":") if name]
    found = {sys_minor(): Path(sys.executable)}
    for minor in MINORS:
        name = f"python{minor}"
        folders = [Path(folder) for folder in os.get_exec_path()]
        folders += sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin"))
        for candidate in [*named, *(folder / name for folder in folders)]:
            if minor not in found and _minor_of(candidate) == minor:
                found[minor] = candidate
    return {minor: found[minor] for minor in MINORS if minor in found}


def sys_minor() -> str:
    """The minor version that runs the tests."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _minor_of(python: Path) -> str:
    """What it says it is; a name on the ``PATH`` may stand for nothing."""
    if not os.access(python, os.X_OK):
        return ""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        python: Its interpreter.
        ipykernel: The version of ipykernel in it.
    """

    python: Path
    ipykernel: str

    @property
    def series(self) -> int:
        """The major version of ipykernel."""
        return int(self.ipykernel.split(".")[0])


def environment(folder: Path, python: Path, *requirements: str) -> Environment:
    """Make an environment at ``folder``, with ipykernel and more."""
    # No setting of the one who runs the tests, and no environment that is active, counts.
    with_own = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    uv = [find_uv_bin(), "--quiet", "--no-config"]
    made = str(folder / "bin" / "python")
    for command in (
        [*uv, "venv", "--python", str(python), str(folder)],
        [*uv, "pip", "install", "--python", made, *requirements],
    ):
        done = subprocess.run(
            command, env=with_own, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            _give_up(f"{' '.join(requirements)} cannot be installed for {python}", done.stderr)
    said = subprocess.run([made, "-c", FIRST_USE], capture_output=True, text=True, check=True)
    return Environment(Path(made), said.stdout.strip())


def _give_up(what: str, said: str) -> None:
    text = f"{what}: {' '.join(said.split())[-500:]}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
