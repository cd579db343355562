"""Every ``relay …`` that the docs have people type is typed here: a real server and a real PC."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli.status import collect
from tests.cli.live import live
from tests.e2e.rig import processes_of
from tests.envs.rig import SOON, Env, World
from tests.hub.joining import JoiningPc
from tests.hub.test_joined import let_in, server_with
from tests.processes import wait_ended
from tests.sshd import Sshd
from tests.test_docs_commands import relay_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(240)]

#: ``relay demo`` is run by tests/cli/test_demo.py.
LINES = sorted({tuple(words) for _, words in relay_lines()} - {("demo",)})
ADDRESS = re.compile(r"\w+@[\w.]+(:\d+)?")


def lines(command: str) -> list[tuple[str, ...]]:
    return [line for line in LINES if line[0] == command]


def type_in(*words: str) -> str:
    """Type it on the server; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "relay_kernel.cli", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * SOON,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def server(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> Iterator[Places]:
    """The server of somebody who begins."""
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    # Else the kernel python3 is that of the tests, with all of their packages.
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("HOME", str(tmp_path / "own"))
    monkeypatch.setenv("UV_CACHE_DIR", cache)
    yield places
    planes = [p for p in processes_of(places.config.parent) if "files-plane" in p.cmdline()]
    for process in planes:
        process.terminate()
    wait_ended(*planes)


@pytest.fixture
def desk(tmp_path: Path, cache: str) -> Iterator[Sshd]:
    """A PC with an sshd."""
    with Sshd(tmp_path / "pc", env={"UV_CACHE_DIR": cache}) as desk:
        yield desk


@pytest.fixture
def world(server: Places, desk: Sshd, kernel_env: Env, tmp_path: Path) -> Iterator[World]:
    """The two together as ``relay add`` leaves them, with a kernel of a small environment.

    The PC has nothing but what came over: its uv, too, is the one that was sent.
    """
    login = ("--ssh", desk.address, "--identity", str(desk.identity), "--yes")
    type_in("add", "pc", *login)
    world = World(server, desk, tmp_path / "jupyter")
    world.alone.close()
    world.configure(skip=["python3-*"])
    world.install_kernel("python3", kernel_env)
    yield world
    world.close()


def test_nothing_typed_is_left_out() -> None:
    tried = {"add", "join", "status", "doctor", "kernelspecs", "kernels", "completion"}
    assert {line[0] for line in LINES} == tried


def test_a_pc_is_added(server: Places, desk: Sshd) -> None:
    """One PC for all of them: what is installed there by the first is used by the others."""
    for line in (each for each in lines("add") if "--ssh" in each):
        words = [desk.address if ADDRESS.fullmatch(word) else word for word in line]
        words = [sys.executable if word.endswith("/python") else word for word in words]
        said = type_in(*words, "--identity", str(desk.identity), "--yes")
        if "--json" in line:
            assert json.loads(said)["target"] == line[1]
        else:
            assert f"{line[1]} is ready: cells run there whenever it is on." in said
        assert line[1] in collect(server)["targets"]


@pytest.mark.parametrize("line", [each for each in lines("add") if "--dials-in" in each])
def test_a_pc_is_let_in(line: tuple[str, ...], server: Places, tmp_path: Path) -> None:
    with JoiningPc(tmp_path / "pc") as dialler:
        words = [dialler.public_key if word.startswith("ssh-") else word for word in line]
        said = type_in(*words, *(["--yes"] if "--key" in words else []))
    assert f"{line[1]} dials in" in said
    assert line[1] in collect(server)["targets"]


@pytest.mark.parametrize("line", lines("join"))
async def test_a_pc_joins(line: tuple[str, ...], server: Places, tmp_path: Path) -> None:
    """Without ``--service``, which would put a unit among those of this very machine: what it
    writes is seen in tests/cli/test_service.py."""
    name = line[line.index("--name") + 1] if "--name" in line else "pc"
    with server_with(tmp_path, server) as gate, JoiningPc(tmp_path / "pc") as dialler:
        let_in(server, tmp_path / "home", dialler.public_key, name)
        more = [word for word in line[2:] if word != "--service"]
        more = [str(dialler.key) if word.startswith("~/.ssh/") else word for word in more]
        dialler.join(gate.address, *more)
        assert await dialler.says(f"joined {gate.address} as {name}")


async def test_the_rest_is_asked_of_both(world: World) -> None:
    rest = [line for line in LINES if line[0] not in {"add", "join"}]
    said = {line: await answer(line) for line in rest}
    assert "a cell there and back" in said["doctor",]
    assert "pc" in said["status",]
    assert "relay-python3" in said["kernelspecs",]
    assert "ready" in said["kernels", "sync", "python3"]


async def answer(line: tuple[str, ...]) -> str:
    if "--watch" not in line:
        return await asyncio.to_thread(type_in, *line)
    async with live(*line) as watching:
        said = await watching.says("pc")
        await watching.interrupt()
    return said
