"""One kernel: its process, and its sockets seen from the agent beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import zmq
from jupyter_client.session import Session

from relay_kernel.agent.errors import KernelKilledError, KernelStartError
from relay_kernel.agent.inject import injection
from relay_kernel.agent.launch import Launched, launch
from relay_kernel.link.zmq_channel import ZmqChannel
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.kernel_frames import KernelFrames, join, split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jupyter_client.manager import AsyncKernelManager

    from relay_kernel.wire.message import Part

log = logging.getLogger(__name__)

#: Seconds that a kernel may take from its launch to its first answer.
START_TIMEOUT = 60.0
#: Seconds between asking and asking again whether IOPub is heard.
_ASK_AGAIN = 0.05


class KernelProcess:
    """A kernel of ours, on ``ipc`` sockets in a private folder.

    Args:
        folder: 0700, short; connection file and sockets go here.
        on_frames: called on the loop for each message of the kernel that is not about us.
        on_own: called for each reply to a message that :meth:`ask` sent.
        on_death: called once when the process has ended and :meth:`stop` was not called.
    """

    def __init__(
        self,
        folder: Path,
        on_frames: Callable[[KernelFrames], None],
        on_own: Callable[[KernelFrames], None],
        on_death: Callable[[str], None],
    ) -> None:
        self._known = False
        self.folder = folder
        self.id = ""
        self.info: dict[str, Any] = {}
        self._on_frames = on_frames
        self._on_own = on_own
        self._on_death = on_death
        self._session = Session(key=secrets.token_bytes(32))
        self._channels: dict[str, ZmqChannel] = {}
        self._manager: AsyncKernelManager | None = None
        self._up = False
        self._stopping = False
        self._end: KernelStartError | None = None
        self._heard = asyncio.Event()
        self._answers: dict[str, asyncio.Future[KernelFrames]] = {}

    # ------------------------------------------------------------------ start

    async def start(
        self,
        order: Mapping[str, Any],
        *,
        store: Path,
        options: dict[str, Any],
        ahead: Launched | None = None,
        mirrors: Path | None = None,
    ) -> None:
        """Launch a kernel, and put our code into it.

        Args:
            order: what to launch: see :func:`relay_kernel.agent.launch.launch`.
            store: the folder of the chunk store.
            options: for our code: see :func:`relay_kernel.agent.inject.injection`.
            ahead: a process that was launched already. It is used if it is just what is wanted.
            mirrors: see :func:`relay_kernel.agent.launch.launch`.

        Raises:
            KernelStartError: it cannot be launched, or it does not answer.
        """
        spec = order["spec"]
        if ahead and not ahead.fits(order):
            await ahead.manager.shutdown_kernel(now=True)
            ahead = None
        # With a key that front ends know, they check its signatures themselves.
        self._known = bool(order.get("key"))
        launched = ahead or await launch(self.folder, order, mirrors)
        self.id, self._manager = launched.id, launched.manager
        try:
            async with asyncio.timeout(START_TIMEOUT):
                self._watch()
                self._connect()
                await self._prepare({**options, "store": str(store)})
                self._up = True
        except TimeoutError:
            text = f"kernel {spec} does not answer after {START_TIMEOUT:.0f} s"
            raise KernelStartError(f"{text}; its output is in {self.folder}/kernel.log") from None
        except (OSError, RuntimeError) as error:
            raise KernelStartError(f"kernel {spec} cannot be started: {error}") from error

    def _connect(self) -> None:
        assert self._manager is not None
        info = self._manager.get_connection_info(session=False)
        self._session = Session(key=info["key"])
        identity = b"relay-" + self.id.encode()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        for channel in ("iopub", "shell", "control", "stdin"):
            socket = context.socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
            socket.linger = 0
            socket.rcvhwm = socket.sndhwm = 0
            if channel == "iopub":
                socket.setsockopt(zmq.SUBSCRIBE, b"")
            else:
                socket.identity = identity
            socket.connect(f"ipc://{info['ip']}-{info[channel + '_port']}")
            self._channels[channel] = ZmqChannel(socket, partial(self._receive, channel))

    async def _prepare(self, options: dict[str, Any]) -> None:
        code = injection({**options, "kernel_id": self.id})
        content = {"code": code, "silent": True, "store_history": False, "allow_stdin": False}
        info, answer = await asyncio.gather(
            self.request("kernel_info_request", {}), self.request("execute_request", content)
        )
        self.info, reply = info.content, answer.content
        if reply.get("status") != "ok":
            why = f"{reply.get('ename')}: {reply.get('evalue')}"
            raise KernelStartError(f"relay's code does not run in this kernel: {why}")
        # A subscription made before the kernel was there can miss its first messages.
        while not self._heard.is_set():
            self.ask("kernel_info_request", {})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), _ASK_AGAIN)

    # ------------------------------------------------------------------ messages

    def send(self, message: KernelFrames) -> None:
        """Pass a message on to the kernel, signed with its key."""
        if channel := self._channels.get(message.channel):
            channel.send(join(message, self._session.sign(message.body[:4])))

    def ask(self, msg_type: str, content: dict[str, Any], *buffers: Part) -> str:
        """Send a message of our own on shell; its answer goes to ``on_own``. Returns its id.

        Raises:
            KernelStartError: the kernel has ended.
        """
        if self._end:
            raise self._end
        message = self._session.msg(msg_type, content)
        self._channels["shell"].send([*self._session.serialize(message), *buffers])
        return str(message["header"]["msg_id"])

    async def request(self, msg_type: str, content: dict[str, Any]) -> KernelFrames:
        """Send a message of our own on shell, and wait for its answer."""
        future: asyncio.Future[KernelFrames] = asyncio.get_running_loop().create_future()
        self._answers[self.ask(msg_type, content)] = future
        return await future

    def _receive(self, channel: str, frames: list[Part]) -> None:
        try:
            message, signature = split(channel, frames)
            # Not checked: nobody else can write to its sockets, which are in a folder of our own.
            if self._known:
                message.signature = signature
            parent = message.parent
        except ProtocolError as error:
            log.warning("kernel %s: %s; ignored", self.id, error)
            return
        if channel == "iopub":
            self._heard.set()
        if parent.get("session") == self._session.session:
            self._receive_own(message)
        elif parent or message.type not in {"status", "iopub_welcome"}:
            self._on_frames(message)

    def _receive_own(self, message: KernelFrames) -> None:
        if message.channel != "shell":
            return
        answer = self._answers.pop(message.parent_id, None)
        if answer is None:
            self._on_own(message)
        elif not answer.done():
            answer.set_result(message)

    # ------------------------------------------------------------------ process

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        provisioner = self._manager.provisioner if self._manager else None
        return getattr(provisioner, "pid", None)

    async def interrupt(self) -> None:
        """Interrupt what runs, the way the kernelspec wants it."""
        if self._manager and self._manager.has_kernel:
            with contextlib.suppress(OSError, RuntimeError):
                await self._manager.interrupt_kernel()

    def stand_still(self) -> None:
        """Stop the process and what it has started, as it is, until :meth:`go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on, if it stands still."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        provisioner = self._manager.provisioner if self._manager else None
        group = getattr(provisioner, "pgid", None)
        if group and group != os.getpgrp():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)

    async def stop(self, *, patience: float = 0.0) -> None:
        """End the process, and close the sockets.

        Args:
            patience: seconds that it may take to end by itself, with what the user's code does at
                the end (``atexit``); then, or at once without any, it is killed.
        """
        self._stopping = True
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        if self._manager and self._manager.has_kernel:
            # The manager gives half of it, and the other half after SIGTERM.
            self._manager.shutdown_wait_time = 2 * patience
            await self._manager.shutdown_kernel(now=not patience)
        if self.id:
            for path in self.folder.glob(f"k{self.id[:4]}*"):
                path.unlink(missing_ok=True)

    def _watch(self) -> None:
        """Wait for the end of the process in a thread: it is our child, and told of at once."""
        assert self._manager is not None
        process = self._manager.provisioner.process
        loop = asyncio.get_running_loop()

        def wait() -> None:
            code = process.wait()
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody is interested.
                loop.call_soon_threadsafe(self._ended, code)

        threading.Thread(target=wait, name=f"wait-{self.id[:4]}", daemon=True).start()

    def _ended(self, code: int) -> None:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        error = KernelKilledError if code < 0 else KernelStartError
        self._end = error(f"the kernel ended with {how}")
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._end)
        self._answers.clear()
        # What it said before it died comes first; after its death, nothing does.
        for channel in self._channels.values():
            channel.drain()
            channel.close()
        self._channels.clear()
        # Before it is up, its end is the failure of :meth:`start`, which says so itself.
        if self._up and not self._stopping:
            self._on_death(f"its kernel died ({how})")
