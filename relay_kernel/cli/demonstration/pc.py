"""The PC of the demo: an embedded SSH server in a process of its own, with a plug to pull."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from relay_kernel.cli.demonstration.stage import StageError
from relay_kernel.link.embedded import HOST
from relay_kernel.link.keys import make_key
from relay_kernel.link.pins import pin
from relay_kernel.settings.atomic import replace_file
from relay_kernel.settings.edit import add_target

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from relay_kernel.cli.demonstration.stage import Stage

#: The target's name.
NAME = "pc"

#: Seconds quiet with a cell running until the PC is lost; a minute would be long to watch.
LOST_AFTER = 3.0

_HEARTBEAT = 0.5
_START_TIMEOUT = 20.0


class Pc:
    """The machine ``pc`` of a stage, on or off.

    Attributes:
        port: Where it listens: the same each time that it is on.
        on: Whether it was started and its plug not pulled since.
    """

    def __init__(self, stage: Stage) -> None:
        """Make its keys; they stay the same however often it is switched on."""
        self.port = 0
        self.on = False
        self._stage = stage
        self._machine = stage.pc
        self._process: Process | None = None
        self._host_key = self._machine.home / "host_key"
        self._identity = stage.server.home / "id_ed25519"
        self.key = make_key(self._host_key)
        make_key(self._identity)

    async def start(self) -> None:
        """Switch it on; returns when it accepts connections.

        Raises:
            StageError: It does not start.
        """
        machine = self._machine
        with (machine.places.log / "ssh.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "relay_kernel.link.embedded"),
                *("--host-key", str(self._host_key), "--port", str(self.port)),
                *("--authorized-keys", f"{self._identity}.pub"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=machine.home,
                env=machine.environment,
                start_new_session=True,
            )
        self.on = True
        line = b""
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(self._process.stdout.readline(), _START_TIMEOUT)
        if not line.strip().isdigit():
            raise StageError(f"the embedded PC did not start: {machine.last_words() or 'timeout'}")
        self.port = int(line)

    def pair(self) -> None:
        """Tell the server of it: its address, its host key, and times fit for a demo."""
        places = self._stage.server.places
        replace_file(
            places.config,
            f"[kernel]\nlost_after = {LOST_AFTER}\nheartbeat = {_HEARTBEAT}\n"
            # Both machines are this one: they have the same files and environments.
            '[files]\nfolders = []\n[envs]\nskip = ["*"]\n',
        )
        pin(places, NAME, self.key)
        add_target(
            places.config,
            NAME,
            ssh=f"demo@{HOST}:{self.port}",
            identity=self._identity,
            python=sys.executable,
        )

    async def pull_plug(self) -> int:
        """Kill everything on it without a warning; say how many processes that were."""
        self.on = False
        killed = await asyncio.to_thread(self._machine.cut_power)
        if self._process is not None:
            await self._process.wait()
        return killed

    async def stop(self) -> None:
        """Switch it off, as a shutdown would."""
        self.on = False
        await asyncio.to_thread(self._machine.shut_down)
        if self._process is not None:
            await self._process.wait()
