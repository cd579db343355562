"""``relay logs``: this server's, and those of a PC over a real link."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.live import live
from tests.cli.test_add import relay

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.sshd import Sshd


@pytest.fixture
def agent_log(pc: Sshd, places: Places) -> Path:
    """The agent's log on a PC that is paired."""
    pc.pair(places, python=sys.executable)
    path = pc.relay_home / "log" / "agent.log"
    path.parent.mkdir(parents=True)
    path.write_text("2026-11-26 20:00:02,000 of the agent\n")
    return path


def test_this_servers(places: Places) -> None:
    places.kernel_log.write_text("2026-11-26 20:00:02,000 77 second\n")
    places.files_log.write_text("2026-11-26 20:00:01,000 first\n2026-11-26 20:00:03,000 third\n")
    said = relay("logs", "-n", "2")
    assert said.status == 0
    assert [line.split("server ")[1] for line in said.output.splitlines()] == [
        *("kernel 77 second", "files  third")
    ]


def test_one_of_them(places: Places) -> None:
    places.kernel_log.write_text("2026-11-26 20:00:02,000 77 second\n")
    places.files_log.write_text("2026-11-26 20:00:01,000 first\n")
    said = relay("logs", "--only", "files", "--json")
    (line,) = said.output.splitlines()
    found = json.loads(line)
    assert (found["where"], found["of"], found["text"]) == ("server", "files", "first")


@pytest.mark.sshd
def test_a_pc_that_is_off_costs_its_own_lines_alone(
    places: Places, agent_log: Path, pc: Sshd
) -> None:
    places.kernel_log.write_text("2026-11-26 20:00:01,000 one\n")
    pc.stop()
    said = relay("logs", "pc", "--only", "kernel")
    assert said.status == 0
    assert said.output.endswith(" server kernel one\n")
    assert "refuses the connection" in said.complaint


@pytest.mark.sshd
async def test_those_of_a_pc_stand_among_them_and_are_followed_until_ctrl_c(
    places: Places, agent_log: Path
) -> None:
    places.kernel_log.write_text("2026-11-26 20:00:01,000 one\n2026-11-26 20:00:03,000 three\n")
    async with live("logs", "pc", "-f") as logs:
        await logs.says(" server kernel one")
        assert " pc agent " in await logs.says("of the agent")
        await logs.says(" server kernel three")
        with agent_log.open("a") as file:
            file.write("2026-11-26 20:00:04,000 news of the PC\n")
        assert " pc agent " in await logs.says("news of the PC")
        with places.kernel_log.open("a") as file:
            file.write("2026-11-26 20:00:05,000 news from here\n")
        assert " server kernel " in await logs.says("news from here")
        assert await logs.interrupt() == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("desk",), "has no target desk; it has: none"), (("--only", "x"), "there is no log x")],
)
def test_wrong_use(places: Places, arguments: tuple[str, ...], said: str) -> None:
    done = relay("logs", *arguments)
    assert done.status == 2
    assert said in done.complaint
