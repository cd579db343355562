"""The Pythons of a target: its own interpreters first, then those that uv has or fetches."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.envs.errors import ImpossibleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.envs.uv import Uv

#: Seconds for an interpreter to say what it is.
PATIENCE = 20.0

_WHAT = (
    "import sys; print('%d.%d%s %s' % (*sys.version_info[:2], "
    "'t' if 't' in getattr(sys, 'abiflags', '') else '', sys.implementation.name))"
)
#: Where conda and its likes are installed, and where they keep environments with names.
_CONDAS = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "micromamba")
#: Where people have more of them, below their home.
_ELSEWHERE = (
    *(".pyenv/versions/{minor}.*/bin", ".local/bin", "bin"),
    *(f"{each}/bin" for each in _CONDAS),
    *(f"{each}/envs/*/bin" for each in _CONDAS),
    *(".conda/envs/*/bin", ".local/share/mamba/envs/*/bin"),
)


async def find_python(uv: Uv, minor: str, target: str) -> str:
    """An interpreter of a minor version.

    Args:
        uv: fetches one if there is none.
        minor: ``3.11``, or ``3.13t``.
        target: what this machine is called, for messages.

    Raises:
        ImpossibleError: there is none, and none can be had.
    """
    found = await asyncio.to_thread(_own, minor)
    if found:
        return found
    if managed := await _managed(uv, minor):
        return managed
    fetched = await uv.run("python", "install", "--no-bin", minor)
    if fetched.ok and (managed := await _managed(uv, minor)):
        return managed
    raise ImpossibleError(
        f"there is no Python {minor} at {target}, and uv cannot fetch one ({fetched.reason}): "
        f"install python{minor} there"
    )


async def _managed(uv: Uv, minor: str) -> str:
    done = await uv.run("python", "find", "--no-project", "--managed-python", minor)
    path = done.said.strip().splitlines()[-1] if done.ok and done.said.strip() else ""
    return path if path and os.path.isabs(path) else ""


def _own(minor: str) -> str | None:
    """The first interpreter of this machine that is one; a name may stand for nothing."""
    return next((path for path in _candidates(minor) if _minor_of(path) == minor), None)


def _candidates(minor: str) -> Iterator[str]:
    ours = Path(sys.base_prefix) / "bin" / f"python{minor}"
    yield os.fspath(ours)
    folders = [Path(folder) for folder in os.get_exec_path()]
    for pattern in _ELSEWHERE:
        folders += sorted(Path.home().glob(pattern.format(minor=minor.rstrip("t"))), reverse=True)
    folders += [Path("/usr/bin"), Path("/usr/local/bin"), Path("/opt/homebrew/bin")]
    for folder in folders:
        for name in (f"python{minor}", "python3"):
            path = folder / name
            if os.access(path, os.X_OK):
                yield os.fspath(path)


def _minor_of(python: str) -> str:
    """``3.11`` if it is a CPython; empty if it does not run or is another."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", _WHAT],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    minor, _, implementation = done.stdout.strip().partition(" ")
    return minor if implementation == "cpython" else ""
