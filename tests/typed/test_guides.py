"""The lines of the tutorial and of the guides, typed word for word on two machines."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.e2e.rig import REPO
from tests.ports import free_port
from tests.typed.machines import NAMES, PASSWORD, PC, Machine, Network, await_, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.terminal import Terminal

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(900)]

CTRL_C = "\x03"
JOIN = "~/relay/bin/relay join me@srv.example.org"


@pytest.fixture(scope="module")
def pc(network: Network) -> Iterator[Machine]:
    """The PC: its sshd, and services of its person."""
    with Machine("desk", network, (PC, "127.0.0.1"), NAMES) as machine:
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
    assert other.run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub") == there
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


@pytest.fixture(scope="module")
def acquainted(server: Machine, pc: Machine) -> None:
    """Each of the two lets the other in, as the guide of the tunnel takes for granted."""
    pc.trusts_and_is_let_in_by(server, "srv.example.org")
    server.trusts_and_is_let_in_by(pc, "[localhost]:2222")
    with pc.terminal("ssh me@srv.example.org") as person:
        person.press("echo on $(hostname); exit\n")
        person.says("on srv\n")
        assert person.end() == 0


@contextlib.contextmanager
def kept_up(server: Machine, pc: Machine, unit: str) -> Iterator[None]:
    """A tunnel by a unit of the PC's systemd; at the end it is cut, and mends itself."""
    units = pc.home / ".config/systemd/user"
    units.mkdir(parents=True, exist_ok=True)
    (units / "tunnel.service").write_text(unit)
    pc.give(pc.home / ".config")
    pc.run("systemctl --user daemon-reload")
    pc.run("systemctl --user enable --now tunnel.service")
    assert "enabled" in pc.run("systemctl --user is-enabled tunnel")
    server.run(await_("ssh-keyscan -p 2222 localhost 2>&1", "ssh-ed25519"))
    server.run("ssh -p 2222 me@localhost true")
    yield
    first = pc.run("pgrep -x ssh").strip()
    server.run("pkill -u me ^sshd")
    assert pc.run(await_(f"pgrep -x ssh | grep -vx {first}", "."))
    server.run(await_("ssh-keyscan -p 2222 localhost 2>&1", "ssh-ed25519"))
    server.run("ssh -p 2222 me@localhost true")
    pc.run("systemctl --user disable --now tunnel.service")


def guided() -> str:
    """The guide's own unit."""
    guide = (REPO / "docs/howto/reverse-tunnel.md").read_text(encoding="utf-8")
    (unit,) = re.findall(r"^```ini\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    return unit


@pytest.mark.usefixtures("acquainted")
def test_a_reverse_tunnel(server: Machine, pc: Machine) -> None:
    with kept_up(server, pc, guided()):
        said = server.run("relay add pc --ssh me@localhost:2222 --yes")
        assert "pc is ready: cells run there whenever it is on." in said


@pytest.mark.usefixtures("acquainted")
def test_a_tunnel_of_autossh(server: Machine, pc: Machine) -> None:
    need("autossh")
    with kept_up(server, pc, guided().replace("/usr/bin/ssh", "/usr/bin/autossh -M 0")):
        assert pc.run("pgrep --parent $(pgrep -x autossh)") == pc.run("pgrep -x ssh")


def test_the_readmes_demo(server: Machine) -> None:
    """The first command that anybody types, in a fresh checkout."""
    line = 'python3 -m venv .venv && .venv/bin/pip install -q ".[demo]" && .venv/bin/relay demo'
    assert "EQUAL to one ordinary kernel" in server.run(line, online=True)


def test_what_the_tutorial_has_installed_beside_it(server: Machine) -> None:
    assert "Successfully installed numpy" in server.run("pip install numpy", online=True)
    server.run('pip install ".[demo]"', online=True)


def test_a_checkout_to_work_on(server: Machine) -> None:
    """What the pages about measurements and contributing begin with; the folder is there by now."""
    activate = ". .venv/bin/activate"
    server.run(f"""{activate} && {'pip install -e ".[test]"'}""", online=True)
    server.run(f"""{activate} && {'pip install -e ".[test]" sshpyk'}""", online=True)
    assert "passed" in server.run(f"{activate} && pytest -q tests/core/test_fence.py")


def test_the_pages_in_a_browser(server: Machine) -> None:
    """At another port than 8000, which is not ours alone."""
    port = free_port("127.0.0.1")
    with (server.source / "mkdocs.yml").open("a") as settings:
        settings.write(f"\ndev_addr: 127.0.0.1:{port}\n")
    line = 'pip install -e ".[docs]" && mkdocs serve'
    with server.terminal(f". .venv/bin/activate && {line}", online=True) as person:
        person.says(f"Serving on http://127.0.0.1:{port}/")
        with urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b"relay-kernel" in page.read()
        person.press(CTRL_C)
        person.end()


def test_it_is_taken_away(server: Machine) -> None:
    """What the page on kernels and the tutorial end with."""
    # The environment of the checkout has a Jupyter Server.
    activate = ". .venv/bin/activate"
    line = "jupyter server extension disable --sys-prefix relay_kernel"
    assert "Disabling: relay_kernel" in server.run(f"{activate} && {line} 2>&1")
    said = server.run(f"{activate} && jupyter server extension list 2>&1")
    assert re.search("relay_kernel .*disabled", said), said
    # It has been installed again since, which takes mirrors away.
    assert "relay-science (new)" in server.run("relay kernelspecs")
    server.run("relay kernelspecs --clean")
    with server.terminal("pip uninstall relay-kernel") as person:
        person.answer("Proceed (Y/n)?", "y")
        person.says("Successfully uninstalled relay-kernel")
        assert person.end() == 0
    assert server.run("ls ~/jupyter/share/jupyter/kernels") == "python3\n"
    # What was installed with --user.
    with server.terminal("jupyter kernelspec remove relay") as person:
        person.answer("[y/N]:", "y")
        assert person.end() == 0
    said = server.run("jupyter kernelspec list")
    assert set(re.findall(r"^  (\S+)", said, re.MULTILINE)) == {"python3", "science"}
