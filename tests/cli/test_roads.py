"""``relay add`` over the roads that people have already: aliases, jump hosts, reverse tunnels."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli.diagnosis.gathering import find_tunnel
from relay_kernel.link.pins import read_pins
from relay_kernel.link.survey import survey_here
from relay_kernel.settings.config import TargetConfig
from tests.cli.test_add import relay
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places


@pytest.fixture
def own_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``~/.ssh``, and no ssh-agent."""
    folder = tmp_path / "user" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def jump(tmp_path: Path) -> Iterator[Sshd]:
    """A machine on the way to the PC."""
    with Sshd(tmp_path / "jump") as sshd:
        yield sshd


def host(name: str, sshd: Sshd, *more: str) -> str:
    """An entry of ssh_config."""
    lines = [
        *(f"HostName {sshd.host}", f"Port {sshd.port}", f"User {sshd.user}"),
        *(f"IdentityFile {sshd.identity}", "IdentitiesOnly yes", *more),
    ]
    return f"Host {name}\n" + "".join(f"  {line}\n" for line in lines)


def known(sshd: Sshd) -> str:
    """Its line of known_hosts."""
    return f"[{sshd.host}]:{sshd.port} {sshd.host_key.kind} {sshd.host_key.blob}\n"


def added(address: str, *more: str) -> str:
    """What ``relay add`` said on its way to success."""
    said = relay("add", "pc", "--ssh", address, "--python", sys.executable, "--yes", *more)
    assert said.status == 0, said.errors
    assert "pc is ready" in said.output
    return said.output


def test_an_alias(pc: Sshd, places: Places, own_ssh: Path) -> None:
    (own_ssh / "config").write_text(host("desk", pc))
    assert pc.host_key.fingerprint in added("desk")
    assert read_pins(places, "pc") == (pc.host_key,)


def test_a_jump_host(pc: Sshd, jump: Sshd, places: Places, own_ssh: Path) -> None:
    (own_ssh / "config").write_text(host("jump", jump) + host("desk", pc, "ProxyJump jump"))
    (own_ssh / "known_hosts").write_text(known(jump))
    assert pc.host_key.fingerprint in added("desk")
    assert read_pins(places, "pc") == (pc.host_key,)
    assert any("Accepted publickey" in line for line in jump.log)


def test_a_jump_host_that_is_not_known(pc: Sshd, jump: Sshd, places: Places, own_ssh: Path) -> None:
    (own_ssh / "config").write_text(host("jump", jump) + host("desk", pc, "ProxyJump jump"))
    said = relay("add", "pc", "--ssh", "desk", "--yes")
    assert said.status == 1
    assert "known_hosts" in said.complaint


def test_a_proxy_command(pc: Sshd, places: Places, own_ssh: Path) -> None:
    forward = f'{sys.executable} -c "{_FORWARD}" {pc.host} {pc.port}'
    (own_ssh / "config").write_text(host("desk", pc, f"ProxyCommand {forward}"))
    added("desk")


@pytest.mark.parametrize(("option", "command"), [("-N", ()), ("-T", ("sleep", "60"))])
def test_the_port_of_a_reverse_tunnel(
    pc: Sshd, places: Places, own_ssh: Path, tmp_path: Path, option: str, command: tuple[str, ...]
) -> None:
    """``ssh -N -R 2222:localhost:22`` from the PC to the server: what many have running.

    The doctor tells one that runs no command, whose small packets sshd holds back.
    """
    with Sshd(tmp_path / "server") as server:
        tunnel = subprocess.Popen(
            [
                *("ssh", option, "-v", "-F", "none", "-i", str(server.identity)),
                *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
                *("-o", "ExitOnForwardFailure=yes", "-p", str(server.port)),
                *("-R", f"127.0.0.1:0:{pc.host}:{pc.port}", f"{server.user}@{server.host}"),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tunnel.stderr is not None
        try:
            port = next(
                line.split()[2] for line in tunnel.stderr if line.startswith("Allocated port")
            )
            address = f"{pc.user}@127.0.0.1:{port}"
            output = added(address, "--identity", str(pc.identity))
            found = find_tunnel(TargetConfig("pc", ssh=address), survey_here())
        finally:
            tunnel.terminate()
            tunnel.wait(10)
            tunnel.stderr.close()
    assert pc.host_key.fingerprint in output
    assert found is not None
    assert found.port == int(port)
    # Another user's sshd may hide whose its port is; root sees it.
    assert found.plain in ({option == "-N"} if os.getuid() == 0 else {option == "-N", None})
    assert find_tunnel(pc.target(), survey_here()) is None, "its own sshd is no tunnel"


_FORWARD = (
    "import os, socket, sys, threading; "
    "s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); "
    "up = lambda: [s.sendall(d) for d in iter(lambda: os.read(0, 9999), b'')]; "
    "threading.Thread(target=up, daemon=True).start(); "
    "[os.write(1, d) for d in iter(lambda: s.recv(9999), b'')]"
)
