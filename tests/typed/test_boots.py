"""A PC that boots: restarted under a running cell, without power, and with nobody logged in.

Its logind is the real one, and what is typed there is what somebody may do who came over SSH.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.browser.nginx import block, find_nginx
from tests.e2e.rig import REPO
from tests.typed.booted import CUT, RESTARTED, Booted
from tests.typed.machines import NAMES, PC, Machine, Network, await_, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.terminal import Terminal

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(900)]

CTRL_C = "\x03"

#: Seconds that nothing but silence would take to be noticed, with the settings that users have.
LOST_AFTER = 60

#: Seconds for a PC that is up to be reached, given its environment and filled.
SOON = 120

WHERE = "import os\nprint('on', os.uname().nodename)"

#: A cell that never ends at the PC.
TRAINING = """\
import os, time
print('training on', os.uname().nodename, flush=True)
while os.uname().nodename == 'desk':
    time.sleep(0.1)
x += 1
"""


@pytest.fixture(scope="module")
def pc(network: Network) -> Iterator[Booted]:
    with Booted("desk", network, (PC,), NAMES) as machine:
        machine.copy_source()
        yield machine


@pytest.fixture(scope="class")
def dialled(server: Machine, pc: Booted) -> Iterator[None]:
    """The server knows how to reach the PC."""
    server.trusts_and_is_let_in_by(pc, PC)
    server.run("relay add pc --ssh me@192.0.2.7 --yes")
    yield
    server.run("relay remove pc")


@contextlib.contextmanager
def notebook(server: Machine) -> Iterator[Terminal]:
    """Somebody who opens a notebook."""
    with server.terminal("stty -echo && python tests/typed/cells.py") as person:
        person.says("[ready]")
        yield person


def run(person: Terminal, cell: str) -> str:
    """Run a cell to its end; what it said, and how it ended."""
    began = len(person.text)
    person.press(json.dumps(cell) + "\n")
    return ended(person)[began:]


def ended(person: Terminal) -> str:
    """Wait until a cell has ended; all that was said so far."""
    person.says("[ended: ")
    return person.says("\n")


def run_there(person: Terminal, cell: str) -> str:
    """Run a cell on the PC as soon as that is there; what it said."""
    deadline = time.monotonic() + SOON
    while True:
        # Such a cell waits for the PC some seconds.
        said = run(person, f"%%relay pc\n{cell}")
        if "[ended: RelayTargetUnavailable]" not in said:
            return said
        assert time.monotonic() < deadline, person.text


def restart_under_a_cell(pc: Booted, person: Terminal) -> None:
    """The cell is run again on the server at once, and what follows is back on the PC."""
    assert "on desk" in run_there(person, f"x = 20\n{WHERE}")
    locks = re.findall(r"(\w+) +to hand its notebooks", pc.run("systemd-inhibit --list"))
    assert set(locks) == {"shutdown", "sleep"}
    person.press(json.dumps(TRAINING) + "\n")
    person.says("training on desk")
    began = time.monotonic()
    pc.restart()
    person.says("it said goodbye: the machine is shutting down")
    assert "[ended: ok]" in ended(person)
    assert time.monotonic() - began < LOST_AFTER / 2
    assert pc.wait_until_down() == RESTARTED
    assert "21\non srv" in run(person, f"print(x)\n{WHERE}")
    pc.boot()
    assert "21\non desk" in run_there(person, f"print(x)\n{WHERE}")


@pytest.mark.usefixtures("dialled")
class TestDialled:
    """A PC that the server dials."""

    def test_a_restart_under_a_cell(self, server: Machine, pc: Booted) -> None:
        with notebook(server) as person:
            restart_under_a_cell(pc, person)

    def test_power_fails_under_a_cell(self, server: Machine, pc: Booted) -> None:
        """Nobody says anything; the same, after the silence that the server waits for."""
        config = server.home / ".config/relay-kernel/config.toml"
        before = config.read_text()
        config.write_text(f"{before}\n[kernel]\nlost_after = 10\n")
        with notebook(server) as person:
            assert "on desk" in run_there(person, f"x = 20\n{WHERE}")
            person.press(json.dumps(TRAINING) + "\n")
            person.says("training on desk")
            pc.cut_power()
            assert pc.wait_until_down() == CUT
            person.says("nothing heard of it for 10 s")
            assert "[ended: ok]" in ended(person)
            pc.boot()
            assert "21\non desk" in run_there(person, f"print(x)\n{WHERE}")
        config.write_text(before)

    def test_the_doctor_knows_whether_it_can_say_goodbye(self, server: Machine, pc: Booted) -> None:
        assert "shutdown and sleep wait until they are announced" in server.run("relay doctor pc")
        # As where it is not installed.
        activation = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service"
        pc.as_root(f"mv {activation} /root/ && systemctl reload dbus && systemctl stop polkit")
        said = server.run("relay doctor pc")
        pc.as_root(f"mv /root/org.freedesktop.PolicyKit1.service {activation}")
        pc.as_root("systemctl reload dbus")
        assert "do not wait until they are announced: Failed to inhibit: Access denied" in said
        assert "sudo apt install polkitd" in said

    def test_the_doctor_knows_what_ends_with_a_login(self, server: Machine, pc: Booted) -> None:
        assert "go on when the connection breaks" in server.run("relay doctor pc")
        settings = pc.etc / "systemd/logind.conf"
        before = settings.read_text()
        settings.write_text("[Login]\nKillUserProcesses=yes\n")
        pc.as_root("systemctl restart systemd-logind")
        said = server.run("relay doctor pc")
        settings.write_text(before)
        pc.as_root("systemctl restart systemd-logind")
        assert "end when the connection breaks" in said


def test_nobody_logs_in(server: Machine, pc: Booted) -> None:
    """A PC that dials in is there after every boot, and says goodbye before each end."""
    pc.run("python3 -m venv ~/relay", online=True)
    pc.run("~/relay/bin/pip install .", online=True)
    pc.trusts_and_is_let_in_by(server, "srv.example.org")
    server.run("relay add pc --dials-in")
    # It has no internet to build an environment from.
    with (server.home / ".config/relay-kernel/config.toml").open("a") as config:
        config.write(f'python = "{pc.home}/relay/bin/python"\n')
    with pc.terminal("~/relay/bin/relay join me@srv.example.org --yes") as joining:
        (line,) = re.findall(r"relay add pc --dials-in --key '.+'", joining.says("'\n"))
        server.run(f"{line} --yes")
        joining.says("joined me@srv.example.org as pc")
        joining.press(CTRL_C)
        joining.end()
    pc.run("~/relay/bin/relay join me@srv.example.org --service")
    pc.run("loginctl enable-linger")
    pc.restart()
    assert pc.wait_until_down() == RESTARTED
    pc.boot()
    with notebook(server) as person:
        restart_under_a_cell(pc, person)
    said = pc.run("journalctl --user -u relay-join")
    assert said.count("joined me@srv.example.org as pc") >= 2
    server.run("relay remove pc")


def test_what_the_road_needs_is_installed_and_starts(pc: Booted) -> None:
    """It is here already, and nothing newer is known, so nothing is downloaded."""
    need("apt")
    pc.as_root("rm -rf /var/lib/apt/lists/*")
    for line in ("sudo apt install polkitd", "sudo apt install openssh-server"):
        assert "is already the newest version" in pc.run(line)
    assert pc.run("systemctl is-enabled ssh") == "enabled\n"


def reload_sshd(pc: Booted) -> None:
    """Until it listens again, nobody gets in."""
    count = "journalctl -u ssh | grep -c 'Server listening on'"
    before = int(pc.as_root(f"{count} || true"))
    pc.run("sudo systemctl reload ssh")
    again = f"test $({count}) -gt {before}"
    pc.as_root(f"for n in $(seq 120); do {again} && break; sleep 0.25; done; {again}")


def test_sshd_is_reloaded(pc: Booted) -> None:
    """With what the guide of the tunnel adds to its settings; who is there stays there."""
    guide = (REPO / "docs/howto/reverse-tunnel.md").read_text(encoding="utf-8")
    (added,) = re.findall(r"^```text\n(Match User me\n.*?)^```", guide, re.MULTILINE | re.DOTALL)
    settings = pc.etc / "ssh/sshd_config"
    before = settings.read_text()
    with pc.terminal("echo in && cat") as person:
        person.says("in\n")
        settings.write_text(before + added)
        reload_sshd(pc)
        pc.run(await_("sudo journalctl -u ssh", "Received SIGHUP; restarting"))
        person.press("still here\n")
        person.says("still here")
    assert "clientaliveinterval 5\n" in pc.as_root("/usr/sbin/sshd -T -C user=me")
    assert "clientaliveinterval 0\n" in pc.as_root("/usr/sbin/sshd -T -C user=you")
    settings.write_text(before)
    reload_sshd(pc)


def test_it_is_kept_awake(pc: Booted) -> None:
    line = 'sudo systemd-inhibit --what=sleep:idle --why="training" sleep 8h'
    with pc.terminal(line) as person:
        pc.run(await_("systemd-inhibit --list", "sleep:idle *training *block"))
        person.press(CTRL_C)
        person.end()
    assert "training" not in pc.run("systemd-inhibit --list")


def test_nginx_is_reloaded(pc: Booted) -> None:
    """With the guide's file, where the guide says."""
    keys = "/etc/letsencrypt/live/jupyter.example.org"
    find_nginx()
    (pc.etc / "nginx/conf.d/jupyter.conf").write_text(block("nginx"))
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=jupyter.example.org"
    files = f"-keyout {keys}/privkey.pem -out {keys}/fullchain.pem"
    pc.as_root(f"mkdir -p {keys} && openssl {request} {files}")
    pc.as_root("systemctl start nginx")
    before = pc.as_root("systemctl show nginx --property=MainPID")
    pc.run("sudo nginx -t")
    pc.run("sudo systemctl reload nginx")
    assert pc.as_root("systemctl show nginx --property=MainPID") == before
    assert "nginx" in pc.as_root("ss -ltnp 'sport = :443'")
