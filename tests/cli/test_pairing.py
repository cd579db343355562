"""``relay add`` and ``relay join`` at a terminal: they ask, say what they do, and check it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli.asking import _key_in
from relay_kernel.cli.diagnosis.road import SESSIONS
from relay_kernel.link.pins import read_pins
from relay_kernel.settings.config import load_config
from tests.cli.terminal import terminal
from tests.cli.test_add import relay
from tests.e2e.conftest import server
from tests.e2e.rig import processes_of
from tests.hub.joining import JoiningPc
from tests.hub.test_joined import server_with
from tests.processes import lives
from tests.sshd import Sshd

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places

__all__ = ["server"]

pytestmark = pytest.mark.sshd

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"


def end_agents(relay_home: Path) -> None:
    """End what the check has started on the PC."""
    for process in processes_of(relay_home):
        if lives(process):
            process.kill()


def test_a_pc_that_is_dialled(pc: Sshd, server: Places) -> None:
    with terminal("add", "--python", sys.executable) as person:
        person.answer("What is the PC called here?", "My PC")
        person.says("'My PC' is no name for a target")
        person.answer("What is the PC called here?", "desk")
        person.answer("Can this server reach the PC by SSH?", "y")
        person.answer("Where is it?", "a@@b")
        person.answer("Where is it?", pc.address)
        person.answer("Which private key?", "/no/such/file")
        person.answer("Which private key?", str(pc.identity))
        person.says(f"1. ask {pc.address} for its host key")
        person.says(pc.host_key.fingerprint)
        person.answer("Is it the same?", "y")
        person.says("desk is ready")
        assert person.end() == 0, person.text
    assert "a cell there and back" in person.text
    assert "all is well" in person.text
    assert "config.toml       " not in person.text, "the server was shown, too"
    target = load_config(server.config).target("desk")
    assert target is not None
    assert (target.ssh, target.identity) == (pc.address, pc.identity)
    end_agents(pc.relay_home)


def test_a_pc_that_dials_in(tmp_path: Path, server: Places) -> None:
    with server_with(tmp_path, server) as gate, JoiningPc(tmp_path / "pc") as dialler:
        home = {"HOME": str(tmp_path / "home")}
        with terminal("add", "pc", env=home) as person:
            person.answer("Can this server reach the PC by SSH?", "n")
            person.says("relay join ")
            person.answer("Paste here the line", "no key")
            person.says("is wrong: ")
            line = f"  relay add pc --dials-in --key '{dialler.public_key}'"
            person.answer("Paste here the line", line)
            person.answer("authorized_keys?", "y")
            person.says("pc may dial in")
            dialler.join(gate.address)
            assert person.end() == 0, person.text
        assert "a cell there and back" in person.text
        assert "fault" not in person.text


def test_what_is_said_is_not_asked(pc: Sshd, places: Places) -> None:
    options = ("--ssh", pc.address, "--identity", str(pc.identity), "--python", sys.executable)
    with terminal("add", "pc", *options, "--yes", "--no-check") as person:
        assert person.end() == 0
    assert "?" not in person.text
    assert "pc is ready" in person.text
    assert "a cell there and back" not in person.text


def test_a_check_finds_settings_of_sshd_that_hurt(tmp_path: Path, server: Places) -> None:
    """In a script it is asked for; what is only a warning is status 0."""
    hurts = (f"MaxSessions {SESSIONS - 1}", "ClientAliveInterval 2", "ClientAliveCountMax 1")
    with Sshd(tmp_path / "strict", options=hurts) as pc:
        options = ("--ssh", pc.address, "--identity", pc.identity, "--python", sys.executable)
        said = relay("add", "pc", *options, "--yes", "--check")
        end_agents(pc.relay_home)
    assert (said.status, said.errors) == (0, "")
    assert "  warning  MaxSessions " in said.output
    assert "  warning  ClientAlive " in said.output
    assert "  ok       a cell there and back" in said.output
    assert said.output.endswith("2 warnings\n")


def test_enough_of_questions(places: Places) -> None:
    with terminal("add") as person:
        person.says("What is the PC called here?")
        assert person.interrupt() == 130
    assert "relay: stopped" in person.text
    assert not places.config.exists()


def test_nobody_to_ask(places: Places) -> None:
    assert "say what the PC is called here" in relay("add").complaint
    assert "say where the server is" in relay("join").complaint


def test_a_pc_joins(tmp_path: Path, pc: Sshd, places: Places) -> None:
    """``pc`` is the server here, which lets nobody in that it does not know."""
    with terminal("join") as person:
        person.answer("Where is the server?", pc.address)
        person.answer("Shall systemd start this", "n")
        person.answer("Is it the same?", "y")
        person.says("relay add pc --dials-in --key")
        person.says("does not let this PC's key in yet")
        assert person.interrupt() == 0
    names = [line.split()[0] for line in places.known_hosts.read_text().splitlines()]
    assert names == [f"relay-server-{pc.host}-{pc.port}"]
    assert read_pins(places, names[0].removeprefix("relay-")) == (pc.host_key,)


@pytest.mark.parametrize(
    "pasted",
    [
        *(KEY, f"'{KEY}'", f"relay add pc --dials-in --key '{KEY}'"),
        *(f'  relay add pc --key="{KEY}"', f"relay add pc --key {KEY}"),
    ],
)
def test_what_is_pasted(pasted: str) -> None:
    assert _key_in(pasted) == KEY
