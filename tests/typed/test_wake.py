"""The lines that wake a sleeping machine, on a wire between two network namespaces."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.typed.machines import Network, need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterator

MAC = bytes.fromhex("001122334455")

#: Says that it listens, and then in hex what comes to the port for such packets.
_LISTEN = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
    port.settimeout(60)
    port.bind(("", 9))
    print("listening", flush=True)
    print(port.recv(1024).hex())
"""


@pytest.fixture
def wire() -> Iterator[tuple[Network, Network]]:
    """A machine that is awake, and one that listens, at a wired interface called enp3s0."""
    need_root()
    with Network("127.0.0.2") as awake, Network("127.0.0.2") as asleep:
        names = "enp3s0 type veth peer name enp3s0 netns"
        awake.run(f"ip link add {names} {asleep.pid}")
        for network, address in ((awake, "192.0.2.1"), (asleep, "192.0.2.7")):
            network.run(f"ip address add {address}/24 dev enp3s0 && ip link set enp3s0 up")
        awake.run("ip route add default dev enp3s0")
        yield awake, asleep


def test_the_packet_arrives(wire: tuple[Network, Network]) -> None:
    need("wakeonlan")
    awake, asleep = wire
    listen = [sys.executable, "-c", _LISTEN]
    with asleep.start(*listen, stdout=subprocess.PIPE) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == b"listening\n"
        awake.run("wakeonlan 00:11:22:33:44:55")
        packet = bytes.fromhex(listening.stdout.read().decode())
    assert packet == b"\xff" * 6 + MAC * 16


def test_the_card_is_asked(wire: tuple[Network, Network]) -> None:
    """The wire here is none that can wake anything, and says so."""
    need("ethtool", "sudo")
    done = wire[0].start(
        *("sh", "-c", "sudo ethtool -s enp3s0 wol g"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = done.communicate(timeout=60)[0].decode()
    assert "Operation not supported" in said, said
