"""Has a client begin on the PC: R runs the first cells on the server while the PC's kernel starts.

As a pytest plugin (``-p on_pc``, with this folder on the path) it does so for every kernel that a
suite of others starts. It stands alone, since such a suite is a package ``tests`` itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jupyter_client.manager

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

#: Seconds until a PC that is there must run the cells.
SOON = 60.0


def target_of(client: BlockingKernelClient) -> str:
    """Where a cell runs now. It is a silent one, so it leaves no trace, nor a message unread."""
    ident = client.execute("", silent=True)
    reply = _next(client.get_shell_msg, ident)
    while _next(client.get_iopub_msg, ident)["content"].get("execution_state") != "idle":
        pass
    return str(reply["metadata"]["relay"]["target"])


def reach_pc(client: BlockingKernelClient) -> None:
    """Return once the cells run on the PC."""
    end = time.monotonic() + SOON
    while target_of(client) != "pc":
        assert time.monotonic() < end, f"the notebook is not on the PC after {SOON:.0f} s"


def _next(get: Any, ident: str) -> dict[str, Any]:
    """The next message on a channel that is about a request."""
    while True:
        message: dict[str, Any] = get(timeout=SOON)
        if message["parent_header"].get("msg_id") == ident:
            return message


def pytest_configure() -> None:
    """Wrap what suites start kernels with."""
    start = jupyter_client.manager.start_new_kernel

    def start_on_pc(*args: Any, **kwargs: Any) -> tuple[Any, BlockingKernelClient]:
        manager, client = start(*args, **kwargs)
        reach_pc(client)
        return manager, client

    jupyter_client.manager.start_new_kernel = start_on_pc
