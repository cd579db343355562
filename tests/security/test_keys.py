"""The key of a PC that dials in opens the gateway, and nothing else that SSH can do."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay_kernel.cli.let_in import gateway_command
from relay_kernel.settings.authorized_keys import gateway_line, parse_public_key
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.settings.paths import Places

REFUSAL = "this key opens relay's gateway and nothing else: use relay join"


@pytest.fixture
def server(tmp_path: Path, places: Places) -> Iterator[Sshd]:
    """A server that allows everything, and lets its only key in as a PC that dials in."""
    options = ("Subsystem sftp internal-sftp", "AllowTcpForwarding yes", "PermitTunnel yes")
    env = {"RELAY_HOME": str(places.config.parent)}
    with Sshd(tmp_path / "server", options=options, env=env) as sshd:
        key = parse_public_key(sshd.identity.with_suffix(".pub").read_text())
        sshd.let_in(gateway_line("pc", gateway_command(places, "pc"), key))
        yield sshd


def ssh(server: Sshd, *arguments: str, program: str = "ssh") -> subprocess.CompletedProcess[str]:
    """Run OpenSSH's client; its end is bounded."""
    return subprocess.run(
        [program, *options(server), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def options(server: Sshd) -> list[str]:
    settings = {
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "LogLevel": "INFO",
        "Port": str(server.port),
        "User": server.user,
        "IdentityFile": str(server.identity),
        "IdentitiesOnly": "yes",
    }
    return ["-F", "none", *(w for key, value in settings.items() for w in ("-o", f"{key}={value}"))]


@pytest.fixture
def secret() -> Iterator[int]:
    """A service on the server's loopback address that greets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        yield service.getsockname()[1]


@pytest.mark.parametrize(
    "command",
    [
        *("", "id", "sh", "relay-join", "relay-join lines", "relay-join line; id"),
        *("relay-join stream ../../../etc/pass", "relay-join stream 0123456789abcde"),
        *("relay gateway other", "relay-join line\nid", "internal-sftp", "scp -t /tmp"),
    ],
)
def test_no_shell_and_no_other_command(server: Sshd, command: str) -> None:
    done = ssh(server, server.host, *([command] if command else []))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == REFUSAL


def test_no_terminal(server: Sshd) -> None:
    done = ssh(server, "-tt", server.host)
    assert done.returncode != 0
    assert "PTY allocation request failed" in done.stderr


def test_no_sftp(server: Sshd, tmp_path: Path) -> None:
    done = ssh(server, "-b", "/dev/null", server.host, program="sftp")
    assert done.returncode != 0
    copied = ssh(server, f"{server.host}:/etc/hostname", str(tmp_path), program="scp")
    assert copied.returncode != 0
    assert not (tmp_path / "hostname").exists()


def test_no_way_to_another_port(server: Sshd, secret: int) -> None:
    done = ssh(server, "-W", f"127.0.0.1:{secret}", server.host)
    assert done.returncode != 0
    assert "administratively prohibited" in done.stderr


@pytest.mark.parametrize("kind", ["port", "socket"])
def test_no_port_of_the_server_s(server: Sshd, secret: int, tmp_path: Path, kind: str) -> None:
    listen = "127.0.0.1:0" if kind == "port" else str(tmp_path / "remote.sock")
    done = ssh(server, "-N", "-R", f"{listen}:127.0.0.1:{secret}", server.host)
    assert done.returncode == 255
    assert "remote port forwarding failed" in done.stderr.lower()
    assert not (tmp_path / "remote.sock").exists()


def test_no_way_to_a_socket(server: Sshd, places: Places) -> None:
    """Not even to the hub's own, which would take it for a notebook."""
    with tempfile.TemporaryDirectory() as folder:
        near = Path(folder) / "near.sock"
        hidden = socket.socket(socket.AF_UNIX)
        hidden.bind(str(places.hub_socket))
        hidden.listen()
        tunnel = subprocess.Popen(
            ["ssh", *options(server), "-v", "-N", "-L", f"{near}:{places.hub_socket}", server.host],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert tunnel.stderr is not None
            for line in tunnel.stderr:
                if "Entering interactive session" in line:
                    break
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(near))
                with contextlib.suppress(ConnectionError):
                    assert client.recv(1) == b""
            hidden.settimeout(0.2)
            with pytest.raises(TimeoutError):
                hidden.accept()
        finally:
            tunnel.terminate()
            tunnel.wait(10)
            assert tunnel.stderr is not None
            tunnel.stderr.close()
            hidden.close()


def test_the_gateway_itself_opens(server: Sshd) -> None:
    """The other tests would pass with a server that lets nobody in."""
    client = subprocess.Popen(
        ["ssh", *options(server), server.host, "relay-join line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert client.stdout is not None
    said = client.stdout.readline()
    client.communicate(timeout=30)
    assert "has no target pc" in said
