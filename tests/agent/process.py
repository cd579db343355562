"""The agent as a process of its own, reached and started as an SSH session would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

import relay_kernel
from relay_kernel.link.stream import SocketStream
from relay_kernel.wire.session import Opened, Refused
from tests.agent.rig import SOON, Owner
from tests.processes import ended

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places


def other_version(folder: Path, version: str) -> dict[str, str]:
    """A whole copy of relay-kernel that has another version: the environment to run it in."""
    copy = folder / version / "relay_kernel"
    source = Path(relay_kernel.__file__).parent
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    init = copy / "__init__.py"
    init.write_text(init.read_text().replace(relay_kernel.__version__, version))
    return {**os.environ, "PYTHONPATH": str(copy.parent)}


class AgentProcess:
    """Whatever agent serves ``places``; also a context manager, which ends it."""

    def __init__(self, places: Places, folder: Path) -> None:
        self.places = places
        self._folder = folder
        self.owners: list[Owner] = []
        self._attached: list[asyncio.subprocess.Process] = []

    def owner(self, session: str, version: str = relay_kernel.__version__) -> Owner:
        """A notebook of some version that is not linked yet."""
        hello: dict[str, Any] = {
            **{"version": version, "notebook": session, "session": session},
            **{"heartbeat": 5.0, "keep": 60.0, "resume": False},
        }
        self.owners.append(Owner(self._folder / f"{session}-{len(self.owners)}", hello))
        return self.owners[-1]

    async def link(self, owner: Owner, env: dict[str, str] | None = None) -> None:
        """Attach over the pipes of ``relay agent --attach``, which starts the agent if need be."""
        ours, theirs = socket.socketpair()
        with theirs:
            attached = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "relay_kernel.cli", "agent", "--attach"),
                stdin=theirs,
                stdout=theirs,
                env=env,
                cwd="/",
            )
        self._attached.append(attached)
        owner.link(SocketStream(*await asyncio.open_unix_connection(sock=ours)))

    async def opened(self, owner: Owner, env: dict[str, str] | None = None) -> str:
        """Link, and return the version of the agent that answers."""
        await self.link(owner, env)
        await owner.until(lambda: owner.count(Opened) + owner.count(Refused) > 0)
        event = await owner.sees(Opened)
        assert isinstance(event, Opened)
        return str(event.hello["version"])

    async def refused(self, owner: Owner, env: dict[str, str] | None = None) -> str:
        """Link, and return why that was refused."""
        await self.link(owner, env)
        event = await owner.sees(Refused)
        await owner.linked_until()
        assert isinstance(event, Refused)
        return str(event.fields["why"])

    @property
    def process(self) -> psutil.Process | None:
        """The agent itself, if one runs."""
        for process in psutil.process_iter(["cmdline", "environ"]):
            home = (process.info["environ"] or {}).get("RELAY_HOME")
            command = process.info["cmdline"] or []
            if home == str(self.places.config.parent) and command[-2:] == [
                "relay_kernel.cli",
                "agent",
            ]:
                return process
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for owner in self.owners:
            owner.pump.close_link()
        process = self.process
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
                await ended(process, within=SOON)
        async with asyncio.timeout(SOON):
            for attached in self._attached:
                await attached.wait()
