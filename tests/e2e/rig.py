"""A notebook over the real R, and a PC that can lose power."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import shutil
import signal
import sys
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from tests.ports import give_ports
from tests.processes import wait_ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jupyter_client.asynchronous.client import AsyncKernelClient

    from relay_kernel.settings.paths import Places
    from tests.sshd import Sshd

#: Seconds for anything that is expected to happen.
SOON = 60.0
#: Seconds after which a reader that was not woken looks.
LOOK = 0.5

REPO = Path(__file__).parents[2]


@dataclass
class Result:
    """What one cell did, as a front end sees it."""

    reply: dict[str, Any]
    messages: list[dict[str, Any]]
    seconds: float

    @property
    def status(self) -> str:
        return self.reply["content"]["status"]

    @property
    def relay(self) -> dict[str, Any]:
        """``metadata.relay`` of the reply."""
        return self.reply["metadata"]["relay"]

    @property
    def target(self) -> str:
        return self.relay["target"]

    @property
    def count(self) -> int:
        return self.reply["content"]["execution_count"]

    @property
    def types(self) -> list[str]:
        return [message["msg_type"] for message in self.messages]

    def text(self, name: str = "stdout") -> str:
        """All text of a stream."""
        contents = [m["content"] for m in self.messages if m["msg_type"] == "stream"]
        return "".join(content["text"] for content in contents if content["name"] == name)

    @property
    def said(self) -> str:
        """What it shows on a terminal: stdout, and the text of what it displays."""
        shown = [m["content"] for m in self.messages if m["msg_type"] == "display_data"]
        return self.text() + "".join(content["data"]["text/plain"] for content in shown)

    @property
    def value(self) -> str:
        """The text of the execute_result."""
        (found,) = [m for m in self.messages if m["msg_type"] == "execute_result"]
        return found["content"]["data"]["text/plain"]

    @property
    def error(self) -> str:
        content = self.reply["content"]
        return f"{content.get('ename')}: {content.get('evalue')}"

    @property
    def notices(self) -> str:
        return "".join(line for line in self.text("stderr").splitlines(True) if "[relay]" in line)


@dataclass
class Running:
    """A cell that was sent, and may not have ended yet."""

    id: str
    notebook: Notebook
    messages: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    reply: asyncio.Future[dict[str, Any]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    began: float = field(default_factory=time.monotonic)
    idle: bool = False

    def text(self, name: str = "stdout") -> str:
        return Result({}, self.messages, 0).text(name)

    async def shows(self, text: str, within: float = SOON, name: str = "stdout") -> None:
        """Wait until the cell has printed ``text``."""
        async with self._bound(within):
            while text not in self.text(name):
                self.changed.clear()
                await self.changed.wait()

    async def end(self, within: float = SOON) -> Result:
        """Wait for reply and idle."""
        async with self._bound(within):
            reply = await asyncio.shield(self.reply)
            while not self.idle:
                self.changed.clear()
                await self.changed.wait()
        self.notebook.complain()
        return Result(reply, self.messages, time.monotonic() - self.began)

    @asynccontextmanager
    async def _bound(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            shown = "\n".join(f"{m['msg_type']}: {m['content']}" for m in self.messages)
            replied = self.reply.result()["content"] if self.reply.done() else None
            raise AssertionError(
                f"not within {seconds} s; its reply: {replied}, idle: {self.idle}, and\n{shown}"
            ) from None


class Notebook:
    """A client of one kernel; by default of R."""

    def __init__(
        self,
        folder: Path,
        kernel: str = "relay",
        *,
        ready: bool = True,
        file: str | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._ready = ready
        self._cwd = cwd
        #: As a Jupyter Server does, which knows the path of the notebook.
        self._env = {**os.environ, "JPY_SESSION_NAME": file} if file else None
        shutil.copytree(REPO / "kernelspecs", folder / "kernels", dirs_exist_ok=True)
        own = str(folder / "kernels")
        specs = KernelSpecManager(kernel_dirs=[own, *KernelSpecManager().kernel_dirs])
        self.manager = AsyncKernelManager(kernel_name=kernel, kernel_spec_manager=specs)
        give_ports(self.manager)
        self.client: AsyncKernelClient
        self.others: list[dict[str, Any]] = []
        self.stdin: Callable[[dict[str, Any]], str] = lambda message: "Ada"
        self.answer: Callable[[dict[str, Any]], None] = lambda message: self.client.input(
            self.stdin(message)
        )
        self._cells: dict[str, Running] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._trouble = ""

    def complain(self) -> None:
        """Raise what was wrong with a message that came, if anything was."""
        assert not self._trouble, self._trouble

    async def __aenter__(self) -> Self:
        given = {"env": self._env, "cwd": self._cwd and str(self._cwd)}
        await self.manager.start_kernel(**{name: value for name, value in given.items() if value})
        self.client = self.manager.client()
        # A clone of the manager's session counts for itself: its ids come again in what that sends.
        self.client.session.session = uuid.uuid4().hex
        self.client.start_channels()
        await self._get_ready()
        return self

    async def _get_ready(self) -> None:
        if self._ready:
            await self.client.wait_for_ready(timeout=SOON)
        else:
            # No kernel will say what it is; R greets each subscriber, which must be enough.
            welcome = await self.client.iopub_channel.get_msg(timeout=SOON)
            while welcome["msg_type"] != "iopub_welcome":
                welcome = await self.client.iopub_channel.get_msg(timeout=SOON)
        self._tasks = [
            asyncio.ensure_future(self._read(self.client.iopub_channel, self._on_iopub)),
            asyncio.ensure_future(self._read(self.client.shell_channel, self._on_shell)),
            asyncio.ensure_future(self._read(self.client.stdin_channel, self._on_stdin)),
        ]

    async def restart(self) -> None:
        """As the button in Jupyter does."""
        await self.stop_reading()
        await self.manager.restart_kernel()
        await self._get_ready()

    async def stop_reading(self) -> None:
        """From now on the caller reads the channels."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def __aexit__(self, *_: object) -> None:
        await self.stop_reading()
        self.client.stop_channels()
        if self.manager.has_kernel:
            await self.manager.shutdown_kernel()

    async def _read(self, channel: Any, handle: Callable[[dict[str, Any]], None]) -> None:
        # A send of jupyter_client's can swallow the wake-up of a reader on the same socket (it goes
        # past pyzmq's own bookkeeping), so the reader looks by itself from time to time.
        while True:
            with contextlib.suppress(queue.Empty):
                message = await channel.get_msg(timeout=LOOK)
                try:
                    handle(message)
                except AssertionError as error:
                    # A reader that ends would look like a kernel that is silent.
                    self._trouble = f"{error}: {message['content']}"

    def _on_iopub(self, message: dict[str, Any]) -> None:
        cell = self._cells.get(message["parent_header"].get("msg_id"))
        if cell is None:
            self.others.append(message)
            return
        assert not cell.idle, f"after its idle, a cell got {message['msg_type']}"
        cell.messages.append(message)
        cell.idle = message["content"].get("execution_state") == "idle"
        cell.changed.set()

    def _on_shell(self, message: dict[str, Any]) -> None:
        cell = self._cells.get(message["parent_header"].get("msg_id"))
        if cell is not None:
            assert not cell.reply.done(), "a cell was answered twice"
            cell.reply.set_result(message)
            cell.changed.set()

    def _on_stdin(self, message: dict[str, Any]) -> None:
        self.answer(message)

    def send(self, code: str, **kwargs: Any) -> Running:
        """Send a cell."""
        cell = Running(self.client.execute(code, **kwargs), self)
        self._cells[cell.id] = cell
        return cell

    async def run(self, code: str, within: float = SOON, **kwargs: Any) -> Result:
        """Run a cell to its end."""
        return await self.send(code, **kwargs).end(within)

    async def ask(self, msg_type: str, content: dict[str, Any], channel: str = "shell") -> dict:
        """Send any request; wait for its reply."""
        message = self.client.session.msg(msg_type, content)
        asked = Running(message["header"]["msg_id"], self)
        self._cells[asked.id] = asked
        if channel == "control":
            self.client.control_channel.send(message)
            while True:
                reply = await self.client.control_channel.get_msg(timeout=SOON)
                if reply["parent_header"]["msg_id"] == asked.id:
                    return reply
        self.client.shell_channel.send(message)
        async with asyncio.timeout(SOON):
            return await asked.reply

    async def run_on(self, target: str, code: str = "pass", within: float = SOON) -> Result:
        """Run ``code`` once the notebook runs at ``target`` again; other cells do nothing."""
        async with asyncio.timeout(within):
            while (await self.run("pass")).target != target:
                # Each of these cells takes processor time that the agent needs to start.
                await asyncio.sleep(0.2)
        result = await self.run(code)
        assert result.target == target
        return result


class Pc:
    """A PC with an agent: sshd on loopback, and whatever runs in its home."""

    def __init__(self, sshd: Sshd, places: Places, name: str = "pc") -> None:
        self.sshd = sshd
        self.target = sshd.pair(places, name, python=sys.executable)

    def processes(self) -> list[psutil.Process]:
        """The agent and its kernels (not sshd)."""
        return processes_of(self.sshd.relay_home)

    def named(self, word: str) -> list[psutil.Process]:
        """Those with ``word`` in their command line."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if any(word in argument for argument in process.cmdline()):
                    found.append(process)
        return found

    def kill_kernel(self) -> None:
        _kill(self.named("ipykernel_launcher"))

    def lose_power(self) -> None:
        """Everything is gone at once: sshd, agent, kernels."""
        # Agent and kernels first stand still, so that none of them says goodbye to another.
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        self.sshd.kill_connections()
        self.sshd.stop()
        _kill(self.processes())

    def boot(self) -> None:
        self.sshd.start()

    def freeze(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        self.sshd.pause()

    def thaw(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        self.sshd.resume()

    def close(self) -> None:
        _kill(self.processes())


def configure(places: Places, **kernel: Any) -> None:
    """Set ``[kernel]`` in ``config.toml``."""
    with places.config.open("a") as file:
        file.write("\n[kernel]\n")
        for key, value in kernel.items():
            file.write(f"{key} = {json.dumps(value)}\n")


def without_planes(places: Places) -> None:
    """Keep no files equal, and mirror no environment: these tests are not about them."""
    with places.config.open("a") as file:
        file.write('\n[files]\nfolders = []\n\n[envs]\nskip = ["*"]\n')


def end_hub(places: Places) -> None:
    """End the hub of these places, if one runs, and the file plane."""
    ours = processes_of(places.config.parent)
    _kill([p for p in ours if {"hub", "files-plane"} & set(_command(p))])


def processes_of(relay_home: Path) -> list[psutil.Process]:
    """All processes that have this ``RELAY_HOME``, but the one that asks."""
    mark, own = str(relay_home), os.getpid()
    everybody = [p for p in psutil.process_iter() if p.pid != own]
    return [p for p in everybody if _environment(p).get("RELAY_HOME") == mark]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_ended(*processes, within=SOON)
