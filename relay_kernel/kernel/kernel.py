"""The ``Kernel`` that Jupyter sees: hands its sockets to the relay, and never reads a message."""

from __future__ import annotations

import asyncio
import logging
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from ipykernel.kernelbase import Kernel
from tornado.ioloop import IOLoop
from traitlets import Instance, Unicode

from relay_kernel import __version__
from relay_kernel.agent.launch import Launched
from relay_kernel.kernel.build import build
from relay_kernel.kernel.frontend import FrontEnd
from relay_kernel.kernel.setup import Setup

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from relay_kernel.kernel.relay import Relay

log = logging.getLogger(__name__)


class RelayKernel(Kernel):
    """R. Every message is a raw frame to it; nothing of ``do_execute`` and its like is used."""

    implementation = "relay"
    implementation_version = __version__
    banner = "relay-kernel"

    spec = Unicode("python3", help="The kernelspec to relay to.").tag(config=True)
    setup = Instance(Setup, help="What this R was started with.")
    ahead = Instance(Launched, allow_none=True, help="The server's kernel, launched already.")

    relay: Relay

    def start(self) -> None:
        """Take over the sockets, and start the agent of ``local``."""
        self.io_loop = IOLoop.current()
        self.io_loop.add_callback(self._begin)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        app = self.parent
        sockets = {
            "shell": app.shell_socket,
            "control": app.control_socket,
            "stdin": app.stdin_socket,
            "iopub": app.iopub_socket,
        }
        names = [f"{name}_port" for name in ("shell", "iopub", "stdin", "control", "hb")]
        ports = {name: int(getattr(app, name)) for name in names}
        take = lambda message: self.relay.request(message)  # noqa: E731
        self.front = FrontEnd(self.session, sockets, take, ports)
        self.setup.spec = self.spec
        self._tasks: list[asyncio.Task[None]] = []
        self.relay = build(self.setup, self.front, self._start, self._end, self.ahead)
        terminate = partial(self._terminate, loop)
        loop.add_signal_handler(signal.SIGTERM, terminate)
        # For clients that interrupt by signal, whatever the kernelspec says.
        loop.add_signal_handler(signal.SIGINT, self.relay.interrupt)
        # Who has subscribed by now is welcomed first: the sockets are read before.
        loop.call_soon(self.front.status, "starting", {})

    def _start(self, part: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(part)
        task.add_done_callback(_report_crash)
        self._tasks.append(task)

    def _terminate(self, loop: asyncio.AbstractEventLoop) -> None:
        ending = loop.create_task(self.relay.close("shutdown"))
        ending.add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.front.close()
        self.io_loop.add_callback(self.io_loop.stop)


def _report_crash(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a part of R ended: %r", error, exc_info=error)
