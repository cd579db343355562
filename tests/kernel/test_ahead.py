"""The server's kernel is launched before R is loaded, if R's command line tells which that is."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import psutil
import pytest

from relay_kernel.kernel.ahead import launch_ahead
from relay_kernel.kernel.arguments import option

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places


@pytest.fixture
def connection_file(tmp_path: Path) -> str:
    file = tmp_path / "kernel-abc.json"
    file.write_text(json.dumps({"key": "secret", "signature_scheme": "hmac-sha256"}))
    return str(file)


async def end(pid: int, manager: object) -> None:
    await manager.shutdown_kernel(now=True)  # type: ignore[attr-defined]
    assert not psutil.pid_exists(pid)


def test_it_is_the_kernel_that_r_orders(places: Places, connection_file: str) -> None:
    setup, launched = launch_ahead(["-f", connection_file], ["--Some.trait=1"])
    assert launched is not None
    pid = launched.manager.provisioner.pid
    assert psutil.Process(pid).cmdline()[-1] == "--Some.trait=1"
    assert setup.notebook == "abc"
    order = {**setup.start(far=False), "epoch": 1, "place": "local"}
    assert launched.fits(order)
    assert not launched.fits({**order, "key": "another"})
    assert not launched.fits({**order, "spec": "another"})
    assert not launched.fits({**order, "env": {}})
    asyncio.run(end(pid, launched.manager))


def test_without_a_connection_file_it_waits_for_the_order(places: Places, tmp_path: Path) -> None:
    setup, launched = launch_ahead(["-f", str(tmp_path / "none.json"), "--spec=x"], [])
    assert (launched, setup.spec) == (None, "x")


def test_no_such_kernelspec_is_told_when_it_is_ordered(
    places: Places, connection_file: str
) -> None:
    _, launched = launch_ahead(["-f", connection_file, "--spec", "no-such-kernel"], [])
    assert launched is None


def test_a_kernelspec_that_is_none_is_told_when_it_is_ordered(
    places: Places, connection_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jupyter" / "kernels" / "odd"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text("{no json")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    _, launched = launch_ahead(["-f", connection_file, "--spec=odd"], [])
    assert launched is None


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--spec", "a"], "a"),
        (["--spec=a", "--ip=b"], "a"),
        (["--RelayKernel.spec=a"], "a"),
        (["--ip", "spec"], None),
        (["--spec"], None),
        ([], None),
    ],
)
def test_options(argv: list[str], value: str | None) -> None:
    assert option(argv, "spec", "RelayKernel.spec") == value
