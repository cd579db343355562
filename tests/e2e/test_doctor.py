"""``relay doctor`` on machines that are well: every part is looked at, down to a real cell."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.rig import Pc, configure
from tests.hub.joining import JoiningPc
from tests.hub.test_joined import let_in, server_with

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places

pytestmark = pytest.mark.sshd

#: Seconds for a whole round.
ROUND = 120.0


async def doctor(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit status of ``relay doctor --json``, and the checks of ``pc`` by name."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay_kernel.cli", "doctor", "--json", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(ROUND):
        output, _ = await process.communicate()
    assert process.returncode is not None
    checks = json.loads(output)["checks"]
    return process.returncode, {each["name"]: each for each in checks if each["where"] == "pc"}


def outcomes(checks: dict[str, dict[str, Any]], *names: str) -> list[str]:
    return [checks[name]["outcome"] for name in names]


async def test_a_pc_that_is_well(desktop: Pc, server: Places) -> None:
    status, checks = await doctor("pc")
    assert status == 0, checks
    assert {each["outcome"] for each in checks.values()} <= {"ok", "skipped"}, checks
    names = ("ssh: login", "agent", "link through the hub", "clock", "same Python", "ipykernel")
    assert outcomes(checks, *names, "a cell there and back") == ["ok"] * 7
    assert " ms; the kernel was there in " in checks["a cell there and back"]["found"]
    assert not desktop.named("ipykernel_launcher"), "the doctor left a kernel behind"
    assert not server.kept.exists() or not list(server.kept.iterdir())


async def test_a_pc_that_dials_in(tmp_path: Path, server: Places) -> None:
    with server_with(tmp_path, server) as gate, JoiningPc(tmp_path / "pc") as dialler:
        let_in(server, tmp_path / "home", dialler.public_key)
        configure(server, wait_at_submit=5.0)
        status, checks = await doctor()
        assert status == 1
        assert outcomes(checks, "link through the hub", "a cell there and back") == [
            *("fault", "skipped")
        ]
        assert "relay join" in checks["link through the hub"]["mend"]
        dialler.join(gate.address)
        await dialler.says("joined")
        status, checks = await doctor()
    assert status == 0, checks
    assert outcomes(checks, "link through the hub", "clock", "a cell there and back") == ["ok"] * 3
    assert "ssh: login" not in checks
