"""Fixtures of the environment plane."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from tests.envs.rig import KERNEL, Env, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.envs.rig import World


@pytest.fixture(scope="session")
def cache() -> str:
    """uv's cache, which the server and the PC have in common: nothing is fetched twice."""
    command = [find_uv_bin(), "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def world(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> Iterator[World]:
    """A server with no kernels of its own yet, and a paired PC that is on.

    The PC has no internet: what is not in the cache, it gets from the server.
    """
    data = tmp_path / "jupyter"
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(data))
    with a_world(places, tmp_path, data, {"UV_CACHE_DIR": cache, "UV_OFFLINE": "1"}) as world:
        yield world


@pytest.fixture
def env(tmp_path: Path) -> Env:
    """An environment on the server that passes for that of a kernel; it takes no time to build."""
    env = Env.make(tmp_path / "env")
    env.add_fake(KERNEL, "0.0.1")
    return env


@pytest.fixture
def kernel_env(tmp_path: Path) -> Env:
    """An environment on the server with a real kernel in it."""
    env = Env.make(tmp_path / "env")
    env.install(KERNEL)
    return env
