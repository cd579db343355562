"""Two machines and the line between them, for tests: real packets, real TCP, real faults.

    with Lab() as lab:
        lab.line.delay, lab.line.rate = 0.01, 20e6 / 8
        with lab.pc.here():
            sshd = Sshd(tmp_path, host=lab.pc.address).start()
        with lab.server.here():
            ...                      # dial lab.pc.address
            lab.line.hole = True     # nothing arrives any more, and nobody is told

The machines share everything but the network with the one that runs the tests, and reach nothing
but each other. Needs root, ``/dev/net/tun`` and ``ip``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.net.line import CLONE_NEWNET, Counts, Weather

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBC = ctypes.CDLL(None, use_errno=True)
_ROOT = Path(__file__).parents[2]


def _missing(what: str) -> None:
    """Skip the test for want of ``what``; in CI fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"a network of two machines cannot be made: {what}")
    pytest.skip(f"needs a network of two machines: {what}")


class Machine:
    """One end of the line.

    Attributes:
        address: What the other machine reaches it by.
    """

    def __init__(self, address: str, namespace: Path) -> None:
        self.address = address
        self._namespace = os.open(namespace, os.O_RDONLY)

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Be on this machine: for the sockets and processes that this thread makes meanwhile.

        A socket stays where it was made, a process and its children too. Threads that exist
        already are elsewhere; a fresh event loop has none.
        """
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(self._namespace)
            yield
        finally:
            _enter(before)
            os.close(before)

    def popen(self, *command: str, **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a process on this machine."""
        with self.here():
            return subprocess.Popen(command, **kwargs)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._namespace)


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Line:
    """The line, or one way of it. What is set is so when the assignment is done.

    Read :class:`tests.net.line.Weather` for ``delay`` (seconds, one way), ``rate`` (bytes a
    second), ``queue`` (bytes), ``loss`` and ``hole``.
    """

    def __init__(self, process: subprocess.Popen[str], way: int | None = None) -> None:
        self.__dict__.update(vars(Weather()))
        self.__dict__.update(_process=process, _way=way)
        if way is None:
            self.__dict__.update(to_pc=Line(process, 0), to_server=Line(process, 1))

    delay: float
    rate: float | None
    queue: int
    loss: float
    hole: bool
    to_pc: Line
    """Only the way from the server to the PC; likewise ``to_server``."""
    to_server: Line

    def __setattr__(self, name: str, value: object) -> None:
        if name not in Weather.__dataclass_fields__:
            raise AttributeError(f"a line has no {name}")
        self.__dict__[name] = value
        if self._way is None:
            self.to_pc.__dict__[name] = self.to_server.__dict__[name] = value
        self._order({"way": self._way, name: value})

    @property
    def counts(self) -> tuple[Counts, Counts]:
        """What was carried to the PC, and what to the server."""
        there, back = self._order({"way": -1})
        return Counts(**there), Counts(**back)

    def _order(self, order: dict[str, object]) -> list[dict[str, int]]:
        process = self.__dict__["_process"]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        answer: list[dict[str, int]] = json.loads(process.stdout.readline())
        return answer

    @property
    def _way(self) -> int | None:
        way: int | None = self.__dict__["_way"]
        return way


class Lab:
    """A server, a PC, and a line; gone with the context.

    Args:
        tcp: The congestion control of both machines, as Linux calls it. With "bbr", set the delay
            before anything connects: BBR goes by the shortest round trip that it has seen, and
            starves for ten seconds on a line that got longer.

    Attributes:
        server, pc: The machines.
        line: What is between them: perfect at first.
    """

    server: Machine
    pc: Machine
    line: Line

    def __init__(self, tcp: str = "cubic") -> None:
        self._tcp = tcp

    def __enter__(self) -> Self:
        if os.getuid() != 0:
            _missing("it needs root")
        addresses = ("192.0.2.1", "192.0.2.2")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.net.line", self._tcp, *addresses],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            _, complaint = self._process.communicate()
            _missing(complaint.strip().splitlines()[-1])
        spaces = [Path(f"/proc/{self._process.pid}/fd/{number}") for number in json.loads(said)]
        self.server, self.pc = map(Machine, addresses, spaces)
        self.line = Line(self._process)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self.server.close()
        self.pc.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two machines and a perfect line."""
    with Lab() as made:
        yield made
