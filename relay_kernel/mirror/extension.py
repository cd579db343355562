"""Jupyter Server's extension: it lists relay kernels, and keeps them on the disk.

Enabled by ``etc/jupyter/jupyter_server_config.d/relay_kernel.json``, which comes with the wheel.
It never stops a server: what goes wrong is one line in its log.
"""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager

from relay_kernel.mirror.listing import MirroringSpecs, compose
from relay_kernel.mirror.watch import Watch

if TYPE_CHECKING:
    from relay_kernel.mirror.mirroring import Report

_CLASS = "kernel_spec_manager_class"


def _link_jupyter_server_extension(app: Any) -> None:
    """Put our listing before whatever kernelspec manager is configured. Comes before it is made."""
    if _is_gateway(app):
        return
    _set_class(app)
    # An application, JupyterLab say, may bring its own settings later than this.
    app.observe(lambda _: _set_class(app), names=_CLASS)


def _load_jupyter_server_extension(app: Any) -> None:
    """Begin to write mirrors, on a thread of its own. Comes once the server has its parts."""
    if _is_gateway(app):
        return
    manager = app.kernel_spec_manager
    if isinstance(manager, MirroringSpecs):
        is_plain = type(manager).__mro__[2] is KernelSpecManager
        watch = Watch(manager.originals, _Teller(app.log), asks=not is_plain)
        manager.seen_new = watch.look
    else:
        watch = Watch(KernelSpecManager(), _Teller(app.log))
    watch.start()


def _set_class(app: Any) -> None:
    try:
        # To read the default would make it, and it needs what the server does not have yet.
        base = getattr(app, _CLASS) if app.trait_has_value(_CLASS) else KernelSpecManager
        if not inspect.iscoroutinefunction(base.find_kernel_specs):
            setattr(app, _CLASS, compose(base))
    except Exception as error:
        # It is somebody else's class, and a server that does not start would be worse.
        app.log.warning("relay_kernel: relay kernels are listed once written: %s", error)


def _is_gateway(app: Any) -> bool:
    """Whether this server has its kernels, and their kernelspecs, from another one."""
    configured = app.config.get("GatewayClient", {}).get("url")
    return bool(configured or os.environ.get("JUPYTER_GATEWAY_URL"))


class _Teller:
    """Writes into the server's log what has changed; the same trouble once."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._told = ""

    def __call__(self, report: Report) -> None:
        if report.written:
            self._log.info("relay_kernel: wrote %s to %s", ", ".join(report.written), report.folder)
        if report.removed:
            self._log.info("relay_kernel: removed %s", ", ".join(report.removed))
        if report.problem and report.problem != self._told:
            self._log.warning("relay_kernel: %s", report.problem)
        self._told = report.problem
