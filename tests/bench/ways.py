"""Three ways to have a kernel on a PC over SSH, each as its own documentation says.

Each is seen as a Jupyter Server sees it: messages on the channels, and its restarter, which looks
every 3 s whether the kernel lives and starts a new one where it does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import psutil
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from relay_kernel.settings.paths import find_places
from tests.e2e.rig import Notebook, configure, end_hub, without_planes
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.sshd import Sshd

#: Seconds between looks of Jupyter's restarter.
LOOK = 3.0
#: Seconds for a kernel to start.
START = 60.0


class Cell:
    """What a front end has seen of a cell so far. Times are seconds of ``time.monotonic``."""

    def __init__(self) -> None:
        self.text = ""
        self.reply: dict[str, Any] | None = None
        self.replied_at = 0.0
        self.idle = False
        self.changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether a notebook shows a number beside it, and not a star."""
        return self.reply is not None and self.idle

    async def until(self, holds: Any, within: float) -> bool:
        """Wait until something holds of it; returns whether it came to."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not holds(self):
                    self.changed.clear()
                    await self.changed.wait()
        return bool(holds(self))


class Way:
    """A kernel on a PC, and the front end that it is used from.

    Args:
        folder: empty, its own.
        pc: on, and for nobody else.
    """

    name = ""

    def __init__(self, folder: Path, pc: Sshd) -> None:
        self.folder, self.pc = folder, pc
        self.client: AsyncKernelClient
        self._cells: dict[str, Cell] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> AsyncKernelClient:
        """Start the kernel; returns a client whose channels are open."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End all that it has running on this side."""

    async def look(self) -> None:
        """What Jupyter's restarter does every 3 s."""

    async def __aenter__(self) -> Self:
        self.client = await self.start()
        self._tasks = [
            asyncio.create_task(self._read(self.client.iopub_channel, self._on_iopub)),
            asyncio.create_task(self._read(self.client.shell_channel, self._on_shell)),
            asyncio.create_task(self._watch()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.client.stop_channels()
        await self.stop()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def processes(self) -> list[psutil.Process]:
        """What runs at the PC, but its sshd."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("HOME") == str(self.pc.home):
                    found.append(process)
        return found

    def send(self, code: str) -> Cell:
        """Send a cell."""
        return self._cells.setdefault(self.client.execute(code, stop_on_error=False), Cell())

    async def run(self, code: str, within: float) -> tuple[Cell, float]:
        """Send a cell and wait for its end; the seconds that it took."""
        began = time.monotonic()
        cell = self.send(code)
        await cell.until(lambda c: c.ended, within)
        return cell, time.monotonic() - began

    async def _read(self, channel: Any, handle: Any) -> None:
        while True:
            with contextlib.suppress(Exception):
                message = await channel.get_msg(timeout=1)
                cell = self._cells.get(message["parent_header"].get("msg_id"))
                if cell is not None:
                    handle(cell, message["content"], message["msg_type"])
                    cell.changed.set()

    def _on_iopub(self, cell: Cell, content: dict[str, Any], kind: str) -> None:
        if kind == "stream" and content["name"] == "stdout":
            cell.text += content["text"]
        cell.idle = cell.idle or content.get("execution_state") == "idle"

    def _on_shell(self, cell: Cell, content: dict[str, Any], kind: str) -> None:
        cell.reply, cell.replied_at = content, time.monotonic()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            await self.look()


class Relay(Way):
    """relay-kernel with its default settings."""

    name = "relay-kernel"
    settings: ClassVar[dict[str, float]] = {}

    async def start(self) -> AsyncKernelClient:
        os.environ["RELAY_HOME"] = str(self.folder / "relay")
        self.places = find_places().make()
        self.pc.pair(self.places, python=sys.executable)
        without_planes(self.places)
        configure(self.places, **self.settings)
        self._notebook = Notebook(self.folder)
        await self._notebook.__aenter__()
        await self._notebook.run_on("pc")
        await self._notebook.stop_reading()
        return self._notebook.client

    async def look(self) -> None:
        if not await self._notebook.manager.is_alive():
            await self._notebook.manager.restart_kernel(now=True)

    async def stop(self) -> None:
        await self._notebook.__aexit__()
        end_hub(self.places)


class ImpatientRelay(Relay):
    """The same for somebody who does not like to wait."""

    name = "relay-kernel, lost_after = 10"
    settings: ClassVar[dict[str, float]] = {"lost_after": 10.0}


class Tunnels(Way):
    """ipykernel on the PC, and five ports forwarded by an ``ssh`` that is started again."""

    name = "ipykernel, ssh -L"

    async def start(self) -> AsyncKernelClient:
        kinds = [f"{kind}_port" for kind in ("shell", "iopub", "stdin", "control", "hb")]
        there = {kind: free_port("127.0.0.1") for kind in kinds}
        here = {kind: free_port("127.0.0.1") for kind in kinds}
        common = {
            **{"ip": "127.0.0.1", "transport": "tcp", "key": secrets.token_hex(16)},
            **{"signature_scheme": "hmac-sha256", "kernel_name": ""},
        }
        command = (
            f"cat > connection.json; setsid nohup {sys.executable} -m ipykernel_launcher"
            " -f ~/connection.json >/dev/null 2>&1 </dev/null &"
        )
        self._ssh = ssh_command(self.pc, self.folder / "known_hosts")
        subprocess.run(
            [*self._ssh, f"cd ~; {command}"],
            input=json.dumps({**common, **there}).encode(),
            check=True,
        )
        self._forwards = [f"-L127.0.0.1:{here[kind]}:127.0.0.1:{there[kind]}" for kind in kinds]
        self._tunnel = asyncio.create_task(self._keep_tunnel())
        client = AsyncKernelClient()
        client.load_connection_info({**common, **here})
        client.start_channels()
        await client.wait_for_ready(timeout=START)
        return client

    async def _keep_tunnel(self) -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                *(*self._ssh[:-1], "-N", *self._forwards, self._ssh[-1]),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
            await asyncio.sleep(1)

    async def stop(self) -> None:
        self._tunnel.cancel()
        await asyncio.gather(self._tunnel, return_exceptions=True)


class Sshpyk(Way):
    """sshpyk, with the SSH settings that its README recommends."""

    name = "sshpyk"

    async def start(self) -> AsyncKernelClient:
        config = self.folder / "ssh_config"
        config.write_text(
            f"""Host pc_sshpyk
  HostName {self.pc.host}
  Port {self.pc.port}
  User {self.pc.user}
  IdentityFile {self.pc.identity}
  UserKnownHostsFile {self.folder / "known_hosts"}
  BatchMode yes
  ControlMaster auto
  ControlPath {self.folder}/%C
  ControlPersist 10m
  StrictHostKeyChecking no
  ServerAliveInterval 5
  ServerAliveCountMax 120000
  TCPKeepAlive yes
  ConnectionAttempts 1
  ConnectTimeout 5
"""
        )
        # Jupyter makes this one when it starts.
        (self.folder / "jupyter" / "runtime").mkdir(parents=True)
        os.environ["JUPYTER_DATA_DIR"] = str(self.folder / "jupyter")
        subprocess.run(
            [
                *(str(Path(sys.executable).with_name("sshpyk")), "add", "--kernel-name", "far"),
                *("--display-name", "far", "--language", "python"),
                *("--ssh-host-alias", "pc_sshpyk", "--ssh-config", str(config)),
                *("--remote-python", sys.executable, "--remote-kernel-name", "python3"),
            ],
            check=True,
            capture_output=True,
        )
        self._manager = AsyncKernelManager(kernel_name="far")
        await self._manager.start_kernel()
        client = self._manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=START)
        return client

    async def look(self) -> None:
        if not await self._manager.is_alive():
            await self._manager.restart_kernel(now=True)

    async def stop(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(START):
                await self._manager.shutdown_kernel(now=True)
        command = ["ssh", "-F", str(self.folder / "ssh_config"), "-O", "exit", "pc_sshpyk"]
        subprocess.run(command, capture_output=True, check=False)


def ssh_command(pc: Sshd, known_hosts: Path) -> list[str]:
    """Logs in at the PC; the address comes last."""
    options = {
        **{"StrictHostKeyChecking": "no", "UserKnownHostsFile": str(known_hosts)},
        **{"BatchMode": "yes", "ExitOnForwardFailure": "yes", "ServerAliveInterval": "5"},
        **{"IdentityFile": str(pc.identity), "LogLevel": "ERROR"},
    }
    given = [f"-o{name}={value}" for name, value in options.items()]
    return ["ssh", "-F", "none", *given, "-p", str(pc.port), f"{pc.user}@{pc.host}"]
