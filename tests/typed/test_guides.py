"""The lines of the tutorial and of the guides, typed word for word on two machines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.rig import REPO
from tests.typed.machines import PASSWORD, Machine, Network, need_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.terminal import Terminal

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(900)]

#: As the docs have them.
PC, SERVER = "192.0.2.7", "198.51.100.1"
CTRL_C = "\x03"
JOIN = "~/relay/bin/relay join me@srv.example.org"


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    need_root()
    with Network(PC, SERVER) as network:
        yield network


@pytest.fixture(scope="module")
def server(network: Network) -> Iterator[Machine]:
    """The server of somebody who has Jupyter's own environment, and installs into it."""
    with Machine("srv", network, (SERVER,), {SERVER: "srv.example.org srv"}) as machine:
        machine.copy_source()
        machine.run("python3 -m venv ~/jupyter")
        machine.path = f"{machine.home}/jupyter/bin"
        machine.run("pip install .", online=True)
        yield machine


@pytest.fixture(scope="module")
def pc(network: Network) -> Iterator[Machine]:
    """The PC: its sshd, and services of its person."""
    with Machine("desk", network, (PC, "127.0.0.1"), {SERVER: "srv.example.org"}) as machine:
        machine.copy_source()
        machine.start_systemd()
        yield machine


@pytest.fixture(scope="module")
def equipped(pc: Machine) -> Machine:
    """The PC with what is installed to dial in."""
    pc.run("python3 --version")
    pc.run("python3 -m venv ~/relay")
    pc.run("~/relay/bin/pip install .", online=True)
    return pc


def test_the_kernel_is_installed(server: Machine) -> None:
    assert " relay " in server.run("jupyter kernelspec list")
    server.run("jupyter kernelspec install kernelspecs/relay --sys-prefix")
    server.run("jupyter kernelspec install kernelspecs/relay --user")


def test_a_kernel_of_ones_own_has_a_mirror(server: Machine) -> None:
    # What stands for another environment with ipykernel.
    server.run("ln -s ~/jupyter venv")
    line = 'venv/bin/python -m ipykernel install --user --name science --display-name "Science"'
    assert "Installed kernelspec science" in server.run(line)
    assert "relay-science (new)" in server.run("relay kernelspecs")
    assert "relay-science" in server.run("jupyter kernelspec list")


def test_a_pc_that_the_server_dials(server: Machine, pc: Machine) -> None:
    """A key, the password once, and from then on no question."""
    with server.terminal("ssh-keygen -t ed25519") as person:
        person.answer("Enter file in which to save the key", "")
        person.answer("Enter passphrase", "")
        person.answer("Enter same passphrase again", "")
        assert person.end() == 0, person.text
    with server.terminal("ssh-copy-id me@192.0.2.7") as person:
        person.answer("Are you sure you want to continue connecting", "yes")
        person.answer("password:", PASSWORD)
        assert person.end() == 0, person.text
        assert "Number of key(s) added: 1" in person.text
    server.run("ssh me@192.0.2.7 true")
    with server.terminal("relay add pc --ssh me@192.0.2.7") as person:
        accept(person, pc, "pc is ready: cells run there whenever it is on.")
        assert person.end() == 0, person.text
    assert "a cell there and back" in person.text
    assert "fault" not in person.text
    assert (pc.home / ".local/share/relay-kernel/agents").is_dir()
    server.run("relay remove pc")


def accept(person: Terminal, other: Machine, then: str) -> None:
    """Compare the host key on the other machine, with the line that is shown, and accept it."""
    person.says("Compare it on that machine: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub")
    there = other.run("ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub")
    assert f"ED25519 {there.split()[1]}" in person.text
    person.answer("Is it the same?", "y")
    person.says(then)


def test_a_pc_that_dials_in_from_every_boot_on(server: Machine, equipped: Machine) -> None:
    """First by hand, then by its unit, which its systemd starts; and taken apart in the end."""
    pc = equipped
    server.run("relay add pc --dials-in")
    with pc.terminal(JOIN) as person:
        accept(person, server, "if the server does not know this PC yet, run there:")
        (line,) = re.findall(r"relay add pc --dials-in --key '.+'", person.says("'\n"))
        server.run(f"{line} --yes")
        person.says("joined me@srv.example.org as pc")
        person.press(CTRL_C)
        assert person.end() == 0
    said = pc.run("~/relay/bin/relay join me@srv.example.org --service")
    assert "relay-join.service runs" in said
    assert "linked" in server.run(await_("relay status", "pc .*linked"))
    pc.run("systemctl --user is-enabled relay-join")
    pc.run("systemctl --user status relay-join")
    pc.run("systemctl --user disable --now relay-join.service")
    assert "linked" not in server.run(await_("relay status", "pc .*absent"))
    server.run("relay remove pc")
    assert "gateway" not in (server.home / ".ssh/authorized_keys").read_text()


def await_(command: str, pattern: str) -> str:
    """A line that asks until it is told what it waits for, for half a minute."""
    look = f"{command} | tee ~/said | grep -q '{pattern}'"
    return f"for n in $(seq 60); do {look} && break; sleep 0.5; done; cat ~/said"


def test_a_reverse_tunnel(server: Machine, pc: Machine) -> None:
    """The guide's own unit, kept up by the PC's systemd."""
    guide = (REPO / "docs/howto/reverse-tunnel.md").read_text(encoding="utf-8")
    (unit,) = re.findall(r"^```ini\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    units = pc.home / ".config/systemd/user"
    units.mkdir(parents=True, exist_ok=True)
    (units / "tunnel.service").write_text(unit)
    pc.give(pc.home / ".config")
    pc.trusts_and_is_let_in_by(server, "srv.example.org")
    server.trusts_and_is_let_in_by(pc, "[localhost]:2222")

    pc.run("systemctl --user daemon-reload")
    pc.run("systemctl --user enable --now tunnel.service")
    assert "enabled" in pc.run("systemctl --user is-enabled tunnel")
    server.run(await_("ssh-keyscan -p 2222 localhost 2>&1", "ssh-ed25519"))
    server.run("ssh -p 2222 me@localhost true")
    said = server.run("relay add pc --ssh me@localhost:2222 --yes")
    assert "pc is ready: cells run there whenever it is on." in said
    pc.run("systemctl --user disable --now tunnel.service")


def test_the_readmes_demo(server: Machine) -> None:
    """The first command that anybody types, in a fresh checkout."""
    line = 'python3 -m venv .venv && .venv/bin/pip install -q ".[demo]" && .venv/bin/relay demo'
    assert "EQUAL to one ordinary kernel" in server.run(line, online=True)
