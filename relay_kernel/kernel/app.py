"""``python -m relay_kernel -f CONNECTION_FILE``."""

from __future__ import annotations

import gc
import logging
import logging.handlers
import os
from typing import Any

import zmq
from ipykernel.kernelapp import IPKernelApp, kernel_aliases
from traitlets import Instance, Unicode
from traitlets.config import Config

from relay_kernel.agent.launch import Launched
from relay_kernel.kernel.kernel import RelayKernel
from relay_kernel.kernel.setup import Setup, notebook_of
from relay_kernel.settings.paths import find_places

_LOG_BYTES = 4 << 20


class RelayKernelApp(IPKernelApp):
    """ipykernel's application with our kernel, on one thread but for the heartbeat.

    Connection file, command line, heartbeat, parent poller and transport encryption are ipykernel's
    own. No user code runs here, so nothing has to answer while something else is busy.
    """

    name = "relay-kernel"
    kernel_class = RelayKernel
    aliases = {**kernel_aliases, "spec": "RelayKernel.spec"}  # noqa: RUF012 (a trait)

    setup = Instance(Setup, help="What R was started with.")
    ahead = Instance(Launched, allow_none=True, help="The server's kernel, launched already.")

    # R's own output and that of what it starts belong into the log, never into a notebook.
    outstream_class = Unicode("")
    displayhook_class = Unicode("")

    def init_iopub(self, context: zmq.Context[Any]) -> None:
        """Bind IOPub so that it welcomes every subscriber, and drops nothing."""
        socket = context.socket(zmq.XPUB)
        socket.linger = 1000
        socket.xpub_verbose = True
        self._apply_curve_server_options(socket)
        self.iopub_port: int = self._bind_socket(socket, self.iopub_port)
        self.iopub_socket = socket

    def _bind_socket(self, s: zmq.Socket[bytes], port: int) -> int:
        """Bind, without a limit at which messages to a slow client are dropped.

        The limit counts from the moment of binding, so it has to go before.
        """
        s.sndhwm = 0
        return int(super()._bind_socket(s, port))

    def init_io(self) -> None:
        """Leave stdout and stderr alone."""

    def init_signal(self) -> None:
        """Signals are handled on the loop."""

    def init_kernel(self) -> None:
        """Create the kernel, which takes the sockets itself."""
        self.setup.notebook = notebook_of(self.connection_file)
        self.kernel = RelayKernel.instance(
            parent=self,
            session=self.session,
            log=self.log,
            setup=self.setup,
            ahead=self.ahead,
        )

    def close(self) -> None:
        """Close what :class:`relay_kernel.kernel.frontend.FrontEnd` has not closed."""
        if self.iopub_socket is not None and not self.iopub_socket.closed:
            self.iopub_socket.close(linger=0)
        super().close()


def run(own: list[str], setup: Setup, ahead: Launched | None) -> None:
    """Run R until Jupyter shuts it down.

    Args:
        own: what of the command line is about R.
        setup: what it was started with.
        ahead: the server's kernel, if it was launched already.
    """
    places = find_places().make()
    handler = logging.handlers.RotatingFileHandler(
        places.kernel_log, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(name)s %(message)s"))
    root = logging.getLogger("relay_kernel")
    root.addHandler(handler)
    root.setLevel(os.environ.get("RELAY_LOG_LEVEL", "INFO").upper())
    root.propagate = False
    # What is loaded by now stays to the end: the collector need not look at it again.
    gc.freeze()
    gc.enable()
    config = Config({"IPKernelApp": {"quiet": True}})
    RelayKernelApp.launch_instance(own, config=config, setup=setup, ahead=ahead)
