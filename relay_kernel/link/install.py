"""Puts the agent on a PC that has sshd and a Python: an environment of its own for each version.

The order makes it safe to be cut anywhere: wheels are renamed into place when their digest is
right, and the marker that makes an environment count is written last.
"""

from __future__ import annotations

import asyncio
import io
import json
import shlex
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from relay_kernel import __version__
from relay_kernel.link.errors import DialError
from relay_kernel.link.probe import MARKER, Surroundings, agent_python, no_python, probe
from relay_kernel.link.reasons import place
from relay_kernel.link.scripts import BOOT, DESCRIBE, INSTALL, NO_VENV, RECEIVE
from relay_kernel.link.wheel import Wheel, pack_wheel
from relay_kernel.link.wheelhouse import WheelsError, collect, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.link.ssh import Connection

#: Seconds for all wheels to get over, and for each further megabyte of a slow line.
PUSH_TIMEOUT = 60.0
PUSH_TIMEOUT_MIB = 20.0

#: Seconds for the environment; where the server has not all wheels, the PC fetches the rest.
INSTALL_TIMEOUT = 900.0

#: Seconds for the installed agent to say its version.
CHECK_TIMEOUT = 60.0


@dataclass(frozen=True)
class Installed:
    """The agent on a PC, checked."""

    python: str
    """Its interpreter there."""
    fresh: bool
    """Whether it was installed just now; false where it was there already."""


def _quiet(_: str) -> None:
    """Show nothing."""


def _uncounted(_done: int, _total: int) -> None:
    """Count nothing."""


async def install_agent(
    conn: Connection,
    around: Surroundings,
    *,
    show: Callable[[str], None] = _quiet,
    progress: Callable[[int, int], None] = _uncounted,
) -> Installed:
    """Make sure that the PC has an agent of this version, and that it runs.

    Nothing is done where the same is there already. Where ``config.toml`` names an interpreter,
    nothing is installed, and its version is checked.

    Args:
        conn: Logged in.
        around: From :func:`probe` with ``everything``.
        show: Called with each step, in a few words, before it is done.
        progress: Called with the bytes that were sent, and with all that will be.

    Raises:
        DialError: With one line that says what is missing on the PC.
    """
    if conn.target.python is not None:
        own = agent_python(conn, around)
        await _check(conn, own)
        return Installed(own, fresh=False)
    with tempfile.TemporaryDirectory(prefix="relay-wheel-") as folder:
        wheel = pack_wheel(Path(folder))
    known = around.installed.get(__version__)
    if known is not None and known[1] == wheel.digest:
        await _check(conn, known[0])
        return Installed(known[0], fresh=False)
    python = around.suitable_python()
    if python is None:
        raise DialError(f"{place(conn.target)} {no_python(around)}", permanent=True)
    await _Installation(conn, around, python, show, progress).run(wheel)
    agent = agent_python(conn, await probe(conn))
    await _check(conn, agent)
    return Installed(agent, fresh=True)


class _Installation:
    """One installation on one PC."""

    def __init__(
        self,
        conn: Connection,
        around: Surroundings,
        python: str,
        show: Callable[[str], None],
        progress: Callable[[int, int], None],
    ) -> None:
        self._conn = conn
        self._around = around
        self._python = python
        self._show = show
        self._progress = progress
        self._folder = PurePosixPath(around.agents) / "wheels"

    async def run(self, own: Wheel) -> None:
        """All of it; ``own`` is relay-kernel's wheel."""
        facts = await self._describe()
        why = ""
        self._show("putting together what it needs")
        try:
            wheels = await _collect(facts)
        except WheelsError as error:
            why = str(error)
            self._show(f"{why}; {self._conn.target.name} fetches what it needs itself")
            wheels = [own]
        missing = [wheel for wheel in wheels if wheel.digest not in facts["wheels"]]
        if missing:
            size = sum(len(wheel.content) for wheel in missing) // 1024
            self._show(f"sending {_named(missing)} ({size} KiB)")
            await self._push(missing)
        self._show("installing it there in an environment of its own")
        await self._install(wheels, why)

    async def _describe(self) -> dict[str, Any]:
        done = await self._run(DESCRIBE, b"", CHECK_TIMEOUT)
        try:
            facts: dict[str, Any] = json.loads(done)
        except ValueError as error:
            raise self._failed(f"{self._python} says {done[:100]!r} of itself") from error
        return facts

    async def _push(self, wheels: list[Wheel]) -> None:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for wheel in wheels:
                member = tarfile.TarInfo(f"{wheel.digest}/{wheel.name}")
                member.size = len(wheel.content)
                archive.addfile(member, io.BytesIO(wheel.content))
        data = content.getvalue()
        await self._run(RECEIVE, data, PUSH_TIMEOUT + len(data) / (1 << 20) * PUSH_TIMEOUT_MIB)

    async def _run(self, program: str, data: bytes, timeout: float) -> str:
        """Run a program of ours with the PC's Python; return what it said."""
        text = program.encode()
        command = shlex.join([self._python, "-c", BOOT, str(len(text)), str(self._folder)])
        done = await self._conn.run(command, text + data, timeout=timeout, progress=self._progress)
        if done.status != 0:
            raise self._failed(f"could not store {self._folder}: {_last(done.errors)}")
        return done.output

    async def _install(self, wheels: list[Wheel], why: str) -> None:
        """Make the environment; ``why`` says why the wheels are not all, if they are not."""
        env = PurePosixPath(self._around.agents) / __version__
        paths = [str(self._folder / wheel.digest / wheel.name) for wheel in wheels]
        pip = next((path for path in paths if path.split("/")[-1].startswith("pip-")), "")
        arguments = [self._python, str(env), wheels[0].digest, self._around.uv or "", pip]
        arguments += ["" if why else "all", *paths]
        done = await self._conn.run(
            f"/bin/sh -s -- {shlex.join(arguments)}", INSTALL.encode(), timeout=INSTALL_TIMEOUT
        )
        if done.status == NO_VENV:
            raise self._failed(
                f"{self._python} cannot make a virtual environment: install its venv module there "
                "(Debian, Ubuntu: sudo apt install python3-venv) or uv, then run "
                f"relay add {self._conn.target.name} again"
            )
        if done.status != 0:
            said = (done.errors.strip() or "it said nothing").splitlines()[0]
            here = f"; and on the server: {why}" if why else ""
            raise self._failed(f"{said}{here}")

    def _failed(self, why: str) -> DialError:
        return DialError(f"{place(self._conn.target)}: {why}", permanent=True)


async def _collect(facts: dict[str, Any]) -> list[Wheel]:
    """All wheels for the PC, put together in a thread: packing takes some seconds."""
    with tempfile.TemporaryDirectory(prefix="relay-wheels-") as folder:
        return await asyncio.to_thread(collect, describe(facts), Path(folder))


def _named(wheels: list[Wheel]) -> str:
    """``relay_kernel-….whl and 47 more wheels``."""
    more = f" and {len(wheels) - 1} more wheels" if len(wheels) > 1 else ""
    return f"{wheels[0].name}{more}"


async def _check(conn: Connection, python: str) -> None:
    """Have the agent's own program load there and say its version."""
    command = shlex.join([python, "-m", "relay_kernel.cli", "--version"])
    done = await conn.run(command, timeout=CHECK_TIMEOUT)
    if done.status != 0 or __version__ not in done.output:
        raise DialError(
            f"{place(conn.target)}: the agent at {python} does not run: {_last(done.errors)}; "
            f"remove its environment there and run relay add {conn.target.name} again",
            permanent=True,
        )


def _last(errors: str) -> str:
    """The last line: where Python says what was wrong."""
    lines = errors.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


assert MARKER in INSTALL
