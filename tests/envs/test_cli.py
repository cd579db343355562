"""``relay kernels``, by the process that a person's command finds or starts."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.cli import main
from relay_kernel.cli.diagnosis.cell import READY_TIMEOUT
from relay_kernel.cli.status import collect
from tests.e2e.rig import processes_of
from tests.envs.rig import SOON
from tests.processes import wait_ended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.envs.rig import Env, World

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def served(world: World) -> Iterator[World]:
    """A world whose plane is in a process of its own, once somebody needs it."""
    world.alone.close()
    yield world
    for process in processes_of(world.places.config.parent):
        if "files-plane" in process.cmdline():
            process.terminate()
            wait_ended(process)


async def relay(*words: str) -> int:
    return await asyncio.to_thread(main, list(words))


def add_of_conda(env: Env) -> None:
    """A package that cannot be had from an index."""
    env.add_fake("fromconda")
    (env.site / "fromconda-1.0.dist-info" / "INSTALLER").write_text("conda\n")
    (env.site / "fromconda-1.0.dist-info" / "WHEEL").unlink()


async def test_a_kernel_is_mirrored_and_shown(
    served: World, env: Env, capsys: pytest.CaptureFixture[str]
) -> None:
    env.add_fake("own", "2.0")
    served.install_kernel("mine", env)
    assert await relay("kernels") == 0
    assert "no kernel is mirrored yet" in capsys.readouterr().out

    assert await relay("kernels", "sync", "mine") == 0
    assert "mine" in capsys.readouterr().out
    assert served.run("mine", "import own; print(own.version)") == "2.0"

    assert await relay("kernels", "sync", "mine", "--json") == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["results"] == {"mine": {"pc": ""}}
    assert said["envs"]["mine"]["pc"]["phase"] == "ready"
    async with asyncio.timeout(SOON):
        while collect(served.places)["envs"] != {"mine": {"pc": {"phase": "ready", "drift": []}}}:
            await asyncio.sleep(0.01)

    assert await relay("kernels", "sync", "other") == 1
    assert "there is no kernelspec other that is mirrored" in capsys.readouterr().err
    assert await relay("kernels", "mend") == 1
    assert "relay kernels cannot mend" in capsys.readouterr().err


async def test_what_cannot_be_mirrored_is_said(
    served: World, env: Env, capsys: pytest.CaptureFixture[str]
) -> None:
    add_of_conda(env)
    served.install_kernel("mine", env)
    assert await relay("kernels", "sync") == 1
    said = capsys.readouterr().out
    assert "impossible" in said
    assert "mine at pc: it cannot be mirrored: fromconda 1.0 is of conda alone" in said


@pytest.mark.alone
async def test_doctor_does_not_wait_for_what_cannot_be_mirrored(
    served: World,
    kernel_env: Env,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The user's python3 before that of the environment that runs the tests.
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    add_of_conda(kernel_env)
    served.configure(skip=[])
    served.install_kernel("python3", kernel_env)
    assert await relay("kernels", "sync", "python3") == 1
    capsys.readouterr()
    began = time.monotonic()
    assert await relay("doctor", "pc", "--json") == 1
    assert time.monotonic() - began < READY_TIMEOUT
    checks = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    cell = checks["a cell there and back"]
    assert cell["outcome"] == "fault"
    assert "fromconda 1.0 is of conda alone" in cell["found"]
