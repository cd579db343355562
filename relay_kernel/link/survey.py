"""What a machine is like: here, over SSH on a PC that needs nothing but a Python, or by its agent.

The same program says it each time: :mod:`relay_kernel.link.machine`.
"""

from __future__ import annotations

import inspect
import shlex
import time
from typing import TYPE_CHECKING

import msgspec

from relay_kernel.link import machine
from relay_kernel.link.errors import DialError
from relay_kernel.link.reasons import place
from relay_kernel.link.scripts import BOOT

if TYPE_CHECKING:
    from relay_kernel.link.ssh import Connection

#: Seconds for a machine to look around.
SURVEY_TIMEOUT = 60.0


class Gpus(msgspec.Struct, frozen=True):
    """NVIDIA GPUs of a machine."""

    names: tuple[str, ...] = ()
    """``NVIDIA GeForce RTX 4090, 24564 MiB``."""
    trouble: str = ""
    """What their driver complains of."""


class Disk(msgspec.Struct, frozen=True):
    """The disk of one folder."""

    name: str
    """``home`` or ``state``."""
    path: str
    free: int
    """Bytes that this user may still write."""
    total: int
    """Bytes."""


class SshdSettings(msgspec.Struct, frozen=True):
    """What an sshd was told, outside of ``Match`` blocks."""

    file: str = ""
    """Empty where there is none."""
    readable: bool = False
    settings: dict[str, str] = {}
    """Names in small letters; what is not there has sshd's default."""


class Machine(msgspec.Struct, frozen=True):
    """One machine, as :func:`relay_kernel.link.machine.describe` has it."""

    host: str
    system: str
    python: tuple[int, int, int]
    """Of the interpreter that looked."""
    executable: str
    packages: dict[str, str]
    """In that interpreter; empty: not there."""
    clock: float
    """Seconds since the epoch, when it was sent."""
    uv: tuple[str, ...] = ()
    """Path and version, the latter empty if it does not run."""
    gpus: Gpus = Gpus()
    disks: tuple[Disk, ...] = ()
    watches: int | None = None
    """``max_user_watches``; ``None`` without inotify."""
    instances: int | None = None
    sshd: SshdSettings = SshdSettings()
    linger: bool | None = None
    join_unit: str | None = None
    """Whose ``relay-join.service`` runs: ``system``, ``user`` or nobody's; ``None``: no systemd."""
    no_goodbye: str | None = None
    """Why its shutdown and sleep do not wait for a goodbye; empty: they do; ``None``: no logind."""
    ends_with_login: bool = False
    """Whether logind ends the processes of a login with it (``KillUserProcesses``)."""
    ahead: float = 0.0
    """Seconds by which its clock is ahead of this machine's, but for the time on the way."""


def survey_here() -> Machine:
    """This machine."""
    return msgspec.convert(machine.describe(), Machine)


async def survey(conn: Connection, python: str) -> Machine:
    """A PC, over plain SSH.

    Args:
        conn: Logged in.
        python: An interpreter there, 3.7 or newer.

    Raises:
        DialError: It does not run, or does not say what it should.
    """
    program = inspect.getsource(machine).encode()
    command = shlex.join([python, "-c", BOOT, str(len(program))])
    done = await conn.run(command, program, timeout=SURVEY_TIMEOUT)
    return read_survey(done.output, time.time(), place(conn.target), done.errors)


def read_survey(text: str | bytes, arrived: float, where: str, errors: str = "") -> Machine:
    """What a machine said of itself.

    Args:
        text: All that it said; a login shell may have put something in front of it.
        arrived: This machine's clock, when that came.
        where: Whose word it is.
        errors: What it said on its error output.

    Raises:
        DialError: It is not what it should be.
    """
    lines = text.strip().splitlines() or [b""]
    try:
        found = msgspec.json.decode(lines[-1], type=Machine)
    except msgspec.DecodeError as error:
        said = (errors.strip().splitlines() or [f"it said {lines[-1][:100]!r}"])[-1]
        raise DialError(f"{where} does not say what it is like: {said}") from error
    return msgspec.structs.replace(found, ahead=found.clock - arrived)
