"""The network that other tests rely on does what it is told: a wrong ruler measures nothing."""

from __future__ import annotations

import socket
import statistics
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.net.lab import Lab

SOON = 10.0


class Pair:
    """A socket on each machine, joined."""

    def __init__(self, lab: Lab, kind: socket.SocketKind) -> None:
        with lab.pc.here():
            self.pc = socket.socket(socket.AF_INET, kind)
            self.pc.bind((lab.pc.address, 7000))
        with lab.server.here():
            self.server = socket.socket(socket.AF_INET, kind)
            self.server.bind((lab.server.address, 7000))
        for end in (self.pc, self.server):
            end.settimeout(SOON)

    def close(self) -> None:
        self.pc.close()
        self.server.close()


@pytest.fixture
def datagrams(lab: Lab) -> Iterator[Pair]:
    """Packets, one by one."""
    pair = Pair(lab, socket.SOCK_DGRAM)
    pair.server.connect((lab.pc.address, 7000))
    pair.pc.connect((lab.server.address, 7000))
    yield pair
    pair.close()


def connect(lab: Lab) -> Pair:
    """A TCP connection; the server sends."""
    pair = Pair(lab, socket.SOCK_STREAM)
    listener = pair.pc
    listener.listen()
    pair.server.connect((lab.pc.address, 7000))
    pair.pc, _ = listener.accept()
    listener.close()
    return pair


def round_trip(pair: Pair) -> float:
    began = time.monotonic()
    pair.server.send(b"ping")
    pair.pc.send(pair.pc.recv(100))
    pair.server.recv(100)
    return time.monotonic() - began


def received(pair: Pair, *, quiet: float = 0.3) -> list[bytes]:
    """What the PC gets until nothing has come for a while."""
    pair.pc.settimeout(quiet)
    got = []
    try:
        while True:
            got.append(pair.pc.recv(2000))
    except TimeoutError:
        pair.pc.settimeout(SOON)
        return got


@pytest.mark.alone
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.1])
def test_delay_is_there_and_back(lab: Lab, datagrams: Pair, delay: float) -> None:
    lab.line.delay = delay
    trips = [round_trip(datagrams) for _ in range(10)]
    assert min(trips) >= 2 * delay
    assert statistics.median(trips) < 2 * delay + 0.005


@pytest.mark.alone
@pytest.mark.parametrize("rate", [20e6 / 8, 600e3], ids=["20 Mbit/s", "600 kB/s"])
@pytest.mark.parametrize("delay", [0.0, 0.01])
def test_a_connection_gets_the_rate_and_no_more(lab: Lab, rate: float, delay: float) -> None:
    lab.line.rate, lab.line.delay = rate, delay
    pair = connect(lab)
    until = time.monotonic() + 4.0

    def send() -> None:
        while time.monotonic() < until:
            pair.server.sendall(bytes(64 << 10))
        pair.server.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    marks = []
    # The first second is TCP's, to find the line.
    for at in (until - 3.0, until - 0.1):
        while time.monotonic() < at:
            pair.pc.recv(1 << 16)
        marks.append((time.monotonic(), lab.line.counts[0].bytes))
    while pair.pc.recv(1 << 16):
        pass
    sender.join(SOON)
    pair.close()
    (began, before), (ended, after) = marks
    assert 0.95 * rate < (after - before) / (ended - began) < 1.01 * rate


def test_what_does_not_fit_into_the_queue_is_dropped(lab: Lab, datagrams: Pair) -> None:
    lab.line.rate, lab.line.queue = 600e3, 60_000
    for _ in range(200):
        datagrams.server.send(bytes(1472))
    # One packet is on its way already when the queue begins to fill.
    assert 40 <= len(received(datagrams)) <= 55
    there, _ = lab.line.counts
    assert there.taken == 200
    assert there.arrived + there.dropped == 200


def test_loss_takes_its_share(lab: Lab, datagrams: Pair) -> None:
    lab.line.to_pc.loss = 0.1
    count = 0
    for _ in range(20):
        for _ in range(100):
            datagrams.server.send(b"x")
        count += len(received(datagrams))
    assert 1700 <= count <= 1900
    for _ in range(50):
        datagrams.pc.send(b"x")
        assert datagrams.server.recv(10) == b"x"


def test_a_hole_swallows_what_is_on_its_way(lab: Lab, datagrams: Pair) -> None:
    lab.line.delay = 0.2
    datagrams.server.send(b"on its way")
    time.sleep(0.05)
    lab.line.hole = True
    datagrams.server.send(b"into it")
    time.sleep(0.05)
    lab.line.hole = False
    datagrams.server.send(b"after it")
    assert received(datagrams) == [b"after it"]


def test_a_hole_may_be_in_one_way_only(lab: Lab, datagrams: Pair) -> None:
    lab.line.to_server.hole = True
    datagrams.server.send(b"heard")
    assert datagrams.pc.recv(10) == b"heard"
    datagrams.pc.send(b"not heard")
    datagrams.server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        datagrams.server.recv(10)


def test_a_connection_outlives_a_hole_and_is_not_told(lab: Lab) -> None:
    stream = connect(lab)
    lab.line.hole = True
    stream.server.sendall(b"late")
    stream.pc.settimeout(0.3)
    with pytest.raises(TimeoutError):
        stream.pc.recv(10)
    stream.pc.settimeout(SOON)
    lab.line.hole = False
    assert stream.pc.recv(10) == b"late"
    stream.close()


def test_a_setting_that_is_none_is_refused(lab: Lab) -> None:
    with pytest.raises(AttributeError, match="no speed"):
        lab.line.speed = 1  # type: ignore[attr-defined]


def test_an_sshd_on_the_pc_is_reached_from_the_server_only(lab: Lab, tmp_path: Path) -> None:
    with lab.pc.here():
        sshd = Sshd(tmp_path, host=lab.pc.address).start()
    try:
        with lab.server.here():
            socket.create_connection((sshd.host, sshd.port), SOON).close()
        with pytest.raises(OSError):  # noqa: PT011 -- which one depends on the network around us
            socket.create_connection((sshd.host, sshd.port), 0.5)
    finally:
        sshd.stop()


def test_nothing_is_left_of_it(lab: Lab) -> None:
    """No namespace with a name, no device, no process."""
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert "line" not in names + links
