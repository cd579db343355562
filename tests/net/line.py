"""The line between two machines of a :class:`tests.net.lab.Lab`, in user space.

A process of its own, so that neither the tests nor what they test slow it down. It makes two
network namespaces, opens a TUN device in each, and moves packets between them with the delay, rate,
loss and holes that it is told of, one JSON object a line on its standard input; each is answered
with what was counted. The namespaces have no names: they are gone when the last process in them is.

    python -m tests.net.line TCP ADDRESS ADDRESS

``TCP`` is the name of the congestion control that both machines use.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field

CLONE_NEWNET = 0x40000000
DEVICE = "line"
MTU = 1500
NETWORK = "192.0.2.0/24"

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
#: Packets taken from a device before what is due elsewhere is looked at.
_TURN = 32


@dataclass
class Weather:
    """What one way of the line is like now.

    Attributes:
        delay: Seconds from the end of the sending of a packet to its arrival.
        rate: Bytes a second that it takes; None for any number.
        queue: Bytes that wait for the rate; what comes beyond is dropped, as a router does.
        loss: Share of packets that are lost on the way.
        hole: Nothing arrives, and nobody is told.
    """

    delay: float = 0.0
    rate: float | None = None
    queue: int = 200_000
    loss: float = 0.0
    hole: bool = False


@dataclass
class Counts:
    """Packets of one way, since the beginning."""

    taken: int = 0
    arrived: int = 0
    dropped: int = 0
    bytes: int = 0


@dataclass
class Way:
    """One direction: first a queue for the rate, then a flight of some time."""

    source: int
    target: int
    chance: random.Random
    weather: Weather = field(default_factory=Weather)
    counts: Counts = field(default_factory=Counts)
    _queue: deque[tuple[float, bytes]] = field(default_factory=deque)
    _queued: int = 0
    _flight: deque[tuple[float, bytes]] = field(default_factory=deque)
    _free_at: float = 0.0

    def take(self, now: float) -> None:
        """Read what the sending machine has sent."""
        for _ in range(_TURN):
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            self.counts.taken += 1
            lost = self.weather.hole or self.chance.random() < self.weather.loss
            if lost or (self.weather.rate and self._queued + len(packet) > self.weather.queue):
                self.counts.dropped += 1
                continue
            self._queue.append((now, packet))
            self._queued += len(packet)

    def move(self, now: float) -> float:
        """Move what is due at ``now``; returns when there is more to do, or infinity."""
        while self._queue and self._free_at <= now:
            came_at, packet = self._queue.popleft()
            self._queued -= len(packet)
            # In its own time, not in ours: that we were late costs the line nothing.
            self._free_at = max(self._free_at, came_at)
            if self.weather.rate:
                self._free_at += len(packet) / self.weather.rate
            self._flight.append((self._free_at + self.weather.delay, packet))
        while self._flight and self._flight[0][0] <= now:
            self._arrive(self._flight.popleft()[1])
        due = [self._free_at] if self._queue else []
        due += [self._flight[0][0]] if self._flight else []
        return min(due, default=float("inf"))

    def change(self, weather: dict[str, object]) -> None:
        """Another weather from now on; what is under way in a hole is lost in it."""
        for name, value in weather.items():
            setattr(self.weather, name, value)
        if self.weather.hole:
            self.counts.dropped += len(self._queue) + len(self._flight)
            self._queue.clear()
            self._flight.clear()
            self._queued = 0

    def _arrive(self, packet: bytes) -> None:
        try:
            os.write(self.target, packet)
        except OSError:
            self.counts.dropped += 1
            return
        self.counts.arrived += 1
        self.counts.bytes += len(packet)


def carry(ways: list[Way], orders: int) -> None:
    """Move packets until ``orders`` ends."""
    by_source = {way.source: way for way in ways}
    said = b""
    while True:
        now = time.monotonic()
        wait = min(way.move(now) for way in ways) - now
        timeout = None if wait == float("inf") else max(0.0, wait)
        ready, _, _ = select.select([*by_source, orders], [], [], timeout)
        now = time.monotonic()
        for each in ready:
            if way := by_source.get(each):
                way.take(now)
            elif not (data := os.read(orders, 65536)):
                return
            else:
                *lines, said = (said + data).split(b"\n")
                for line in lines:
                    _obey(ways, json.loads(line))


def _obey(ways: list[Way], order: dict[str, object]) -> None:
    """``way`` says which; without it both change. Other keys are of :class:`Weather`."""
    chosen = order.pop("way", None)
    for number, way in enumerate(ways):
        if chosen in {None, number}:
            way.change(order)
    print(json.dumps([asdict(way.counts) for way in ways]), flush=True)


def machine(address: str, tcp: str) -> tuple[int, int]:
    """Make a namespace whose only way out is a TUN device; go into it.

    Returns:
        Descriptors of the namespace and of the device.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"no network namespace can be made: {os.strerror(number)}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    for command in (
        "link set lo up",
        # No packets of its own.
        f"link set {DEVICE} addrgenmode none",
        f"addr add {address}/32 dev {DEVICE}",
        f"link set {DEVICE} up mtu {MTU}",
        f"route add {NETWORK} dev {DEVICE} src {address} congctl {tcp}",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY), device


def main() -> None:
    """Make both machines, say where their namespaces are, and carry packets."""
    tcp, *addresses = sys.argv[1:]
    spaces, devices = zip(*(machine(address, tcp) for address in addresses), strict=True)
    chance = random.Random(1)
    there, back = Way(devices[0], devices[1], chance), Way(devices[1], devices[0], chance)
    print(json.dumps(spaces), flush=True)
    carry([there, back], sys.stdin.fileno())


if __name__ == "__main__":
    main()
