"""``--json``: every command that tells facts gives them to programs, too."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from relay_kernel import __version__
from relay_kernel.cli import build_app
from relay_kernel.cli.diagnosis.road import SESSIONS
from relay_kernel.link.pins import read_pins
from relay_kernel.settings.config import load_config
from tests.cli.live import live
from tests.cli.terminal import terminal
from tests.cli.test_add import Said, add, relay
from tests.cli.test_pairing import end_agents
from tests.cli.units import relay_alone, written
from tests.files.real import Real
from tests.hub.test_joined import server_with
from tests.sshd import Sshd

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places

#: Those that have no ``--json``, and why.
WITHOUT = {
    "completion": "its output is a script",
    "agent": "its output is the session with the server",
    "gateway": "its output is the session with the PC",
    "files-plane": "a service: it writes a log, which relay logs shows",
}


def commands() -> dict[str, Any]:
    """All of them, those of groups included."""
    whole: Any = get_command(build_app())
    found = dict(whole.commands)
    for name, command in whole.commands.items():
        below = getattr(command, "commands", {})
        found |= {f"{name} {inner}": each for inner, each in below.items()}
    return found


@pytest.mark.parametrize("name", commands())
def test_every_command_has_it(name: str) -> None:
    """Or is one of those that a person has decided about."""
    options = {option for each in commands()[name].params for option in each.opts}
    assert ("--json" in options) != (name in WITHOUT)


def facts(said: Said) -> Any:
    """The one object that a command printed, which did what was asked."""
    assert (said.status, said.errors) == (0, "")
    return json.loads(said.output)


class TestAdd:
    def test_what_was_set_up(self, pc: Sshd, places: Places) -> None:
        found = facts(add(pc, "--yes", "--json"))
        shown = {"kind": "ssh-ed25519", "fingerprint": pc.host_key.fingerprint, "fresh": True}
        assert found["host_key"] == shown
        assert (found["target"], found["dials_in"], found["ssh"]) == ("pc", False, pc.address)
        assert found["identity"] == str(pc.identity)
        assert found["agent"]["version"] == __version__
        assert found["config"] == str(places.config)
        assert found["next"] == [{"where": "local", "run": "relay doctor pc"}]
        assert found["doctor"] is None
        again = facts(relay("add", "pc", "--json"))
        assert again["host_key"] == {**shown, "fresh": False}

    def test_the_host_key_is_in_the_error(self, pc: Sshd, places: Places) -> None:
        """Else a program could not show what it is about to accept."""
        said = add(pc, "--json")
        assert (said.status, said.output) == (1, "")
        assert f"nobody is here to accept the host key {pc.host_key}: " in said.complaint
        assert read_pins(places, "pc") == ()

    def test_nothing_is_asked_at_a_terminal(self, places: Places) -> None:
        with terminal("add", "--json") as person:
            assert person.end() == 2
        assert person.text.startswith("relay: say what the PC is called here")

    def test_what_the_doctor_finds(self, tmp_path: Path, places: Places) -> None:
        hurts = (f"MaxSessions {SESSIONS - 1}",)
        with Sshd(tmp_path / "strict", options=hurts) as pc:
            found = facts(add(pc, "--yes", "--json", "--check"))
            end_agents(pc.relay_home)
        assert found["doctor"]["outcome"] == "warning"
        checks = {check["name"]: check for check in found["doctor"]["checks"]}
        assert {check["where"] for check in checks.values()} == {"pc"}
        assert checks["a cell there and back"]["outcome"] == "ok"
        assert checks["MaxSessions"]["mend"]
        assert found["next"] == []

    def test_one_that_dials_in(self, places: Places, home: Path, key: str) -> None:
        found = facts(relay("add", "desk", "--dials-in", "--json"))
        assert found["authorized_keys"] is None
        assert [each["where"] for each in found["next"]] == ["desk", "local"]
        assert found["next"][0]["run"].startswith("relay join ")
        unwritten = facts(relay("add", "desk", "--dials-in", "--key", key, "--json"))
        assert not unwritten["authorized_keys"]["written"]
        assert not (home / ".ssh").exists()
        assert unwritten["next"][0]["run"] == f"relay add desk --dials-in --key '{key}' --yes"
        done = facts(relay("add", "desk", "--dials-in", "--key", key, "--yes", "--json"))
        assert done["authorized_keys"]["written"]
        path = home / ".ssh" / "authorized_keys"
        assert done["authorized_keys"]["path"] == str(path)
        assert path.read_text() == f"{done['authorized_keys']['line']}\n"
        gone = facts(relay("remove", "desk", "--json"))
        assert gone == {
            **{"target": "desk", "config": str(places.config)},
            **{"host_keys": [], "way_in": True},
        }

    def test_one_is_removed(self, pc: Sshd, places: Places, home: Path) -> None:
        add(pc, "--yes")
        gone = facts(relay("remove", "pc", "--json"))
        assert (gone["host_keys"], gone["way_in"]) == ([pc.host_key.fingerprint], False)
        assert load_config(places.config).targets == ()


class TestJoin:
    async def test_an_object_for_each_change(
        self, tmp_path: Path, places: Places, home: Path, key: str
    ) -> None:
        """The PC and the server are one user here, and one ``RELAY_HOME``."""
        with server_with(tmp_path, places) as gate:
            gate.let_in(key)
            options = ("--identity", str(tmp_path / "key"), "--yes", "--json")
            async with live("join", gate.address, *options) as joining:
                prepared = json.loads(await joining.says('"prepared"'))
                waiting = json.loads(await joining.says('"waiting"'))
                status, errors = await joining.interrupt()
        assert (status, errors) == (0, "")
        kind, blob, *_ = key.split()
        assert prepared["public_key"] == f"{kind} {blob}"
        assert prepared["host_key"]["fingerprint"] == gate.host_key.fingerprint
        run = f"relay add pc --dials-in --key '{kind} {blob}'"
        assert prepared["next"] == [{"where": "server", "run": run}]
        assert "does not let this PC's key in yet" in waiting["text"]
        assert prepared["at"] < waiting["at"]

    async def test_joined(self, tmp_path: Path, places: Places, key: str) -> None:
        with server_with(tmp_path, places) as gate:
            env_home = tmp_path / "home"
            (env_home / ".ssh").mkdir()
            said = relay_alone(
                tmp_path / "units",
                *("add", "pc", "--dials-in", "--key", key, "--yes"),
                HOME=str(env_home),
            )
            assert said.returncode == 0, said.stderr
            options = ("--identity", str(tmp_path / "key"), "--yes", "--json")
            async with live("join", gate.address, *options) as joining:
                joined = json.loads(await joining.says('"joined"'))
                await joining.interrupt()
        assert joined["text"] == f"joined {gate.address} as pc"

    def test_nobody_is_asked(self, places: Places) -> None:
        said = relay("join", "--json")
        assert said.status == 2
        assert "say where the server is" in said.complaint


class TestServices:
    def test_a_hub(self, tmp_path: Path, places: Places) -> None:
        done = relay_alone(tmp_path / "units", "hub", "--service", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)
        assert found["unit"] == "relay-hub.service"
        assert not found["started"]
        assert found["why"]
        assert any("enable --now relay-hub.service" in each for each in found["next"])
        unit = written(tmp_path / "units", "relay-hub.service").read_text()
        assert " hub --idle-after inf\n" in unit

    def test_a_line(self, tmp_path: Path, pc: Sshd, places: Places, key: str) -> None:
        options = ("--identity", str(tmp_path / "key"), "--yes", "--service", "--json")
        done = relay_alone(tmp_path / "units", "join", pc.address, *options)
        assert (done.returncode, done.stderr) == (0, "")
        prepared, installed = map(json.loads, done.stdout.splitlines())
        assert (prepared["event"], installed["event"]) == ("prepared", "installed")
        assert installed["unit"] == "relay-join.service"
        assert written(tmp_path / "units", "relay-join.service").is_file()

    def test_without_service(self, places: Places) -> None:
        said = relay("hub", "--json")
        assert said.status == 2
        assert "--json goes with --service" in said.complaint


class TestFiles:
    """The folders of one person on this machine, and of another on the PC."""

    async def test_every_command(
        self, tmp_path: Path, pc: Sshd, places: Places, home: Path
    ) -> None:
        pc.pair(places, python=sys.executable)
        real = Real(places, home, pc.home)
        try:
            real.configure("~/work")
            (real.here / "both").write_text("old")
            await real.linked()
            await real.equal()
            self._steer(real)
        finally:
            real.close()

    @staticmethod
    def _steer(real: Real) -> None:
        (pair,) = facts(relay("files", "pause", "--json"))["paused"]
        assert pair["target"] == "pc"
        (real.here / "both").write_text("here")
        (real.there / "both").write_text("there")
        assert facts(relay("files", "resume", "--json")) == {"resumed": [pair]}
        assert facts(relay("sync", "--json"))["equal"]
        (conflict,) = facts(relay("files", "conflicts", "--json"))
        wrong = relay("files", "dismiss", "no such copy", "--json")
        assert wrong.status == 1
        assert "no conflict has the copy no such copy" in wrong.complaint
        dismissed = facts(relay("files", "dismiss", conflict["copy"], "--json"))
        assert dismissed == {"dismissed": [{**pair, "copy": conflict["copy"]}]}
        assert facts(relay("files", "conflicts", "--json")) == []
        (real.there / "both").unlink()
        assert facts(relay("files", "wait", "--json"))["equal"]
        assert not (real.here / "both").exists()
        trash = facts(relay("files", "trash", "--json"))
        assert "both" in {one["path"] for one in trash}
        restored = facts(relay("files", "restore", "both", "--json"))["restored"]
        assert (restored["path"], restored["at"]) == ("both", "server")
        assert (real.here / "both").exists()
        assert facts(relay("files", "plan", "--json"))
        assert facts(relay("files", "--json"))["folders"]


def test_the_demo(places: Places) -> None:
    found = facts(relay("demo", "--json"))
    assert (found["equal"], found["differences"]) == (True, [])
    assert {cell["target"] for cell in found["cells"]} == {"pc", "local"}
    assert any(cell["again"] for cell in found["cells"])


def test_a_demo_for_a_person(places: Places) -> None:
    said = relay("demo", "--lab", "--json")
    assert said.status == 2
    assert "--lab goes without --json" in said.complaint
