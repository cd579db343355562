"""Launches a kernel: a process that nobody has spoken with yet."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from relay_kernel.agent.errors import KernelStartError
from relay_kernel.agent.machine import place_of
from relay_kernel.agent.mirrored import mirror_of, specs_for
from relay_kernel.mirror.lookup import Originals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jupyter_client.kernelspec import KernelSpecManager


#: How kernels sign that are launched here; it is Jupyter's default.
SCHEME = "hmac-sha256"


@dataclass(frozen=True)
class Launched:
    """A kernel's process.

    Args:
        id: names it, and its files in the folder.
        manager: of the process.
        order: what it was launched for, see :func:`launch`.
    """

    id: str
    manager: AsyncKernelManager
    order: Mapping[str, Any]

    def fits(self, order: Mapping[str, Any]) -> bool:
        """Whether :func:`launch` would now launch just such a process."""
        parts = ("spec", "cwd", "env", "arguments", "key")
        return all(self.order.get(p) == order.get(p) for p in parts)


async def launch(folder: Path, order: Mapping[str, Any], mirrors: Path | None = None) -> Launched:
    """Launch the kernel of a kernelspec, on ``ipc`` sockets.

    Args:
        folder: 0700, short; connection file, sockets and output go here.
        order: ``spec``, the name of the kernelspec; ``cwd``, the folder to start in; ``env``, added
            to our own environment; ``arguments``, for its command line, behind the kernelspec's;
            ``key``, what it shall sign its messages with, if that is not for itself to choose;
            ``server``, whose kernelspec it is, where that is another machine.
        mirrors: on a PC, the environments that mirror those of servers.

    Raises:
        KernelStartError: no such kernelspec, its environment is not ready, its interpreter is
            gone, or the system refuses.
    """
    with specs_for(mirror_of(mirrors, order)) as specs:
        return await _launch(folder, order, specs or Originals())


async def _launch(folder: Path, order: Mapping[str, Any], specs: KernelSpecManager) -> Launched:
    spec, id_ = order["spec"], secrets.token_hex(8)
    name = folder / f"k{id_[:4]}"
    manager = AsyncKernelManager(
        kernel_name=spec, kernel_spec_manager=specs, transport="ipc", ip=str(name)
    )
    manager.connection_file = f"{name}.json"
    manager.session.signature_scheme = SCHEME
    if key := order.get("key"):
        manager.session.key = key.encode()
    _check_spec(manager, spec)
    try:
        # A kernel's own stdout and stderr belong neither in a notebook nor in a pipe that fills.
        with (folder / "kernel.log").open("ab") as output:
            await manager.start_kernel(
                extra_arguments=[str(one) for one in order.get("arguments") or ()],
                cwd=place_of(order["cwd"]),
                env={**os.environ, **order["env"]},
                stdout=output,
                stderr=output,
            )
    except (OSError, RuntimeError) as error:
        raise KernelStartError(f"kernel {spec} cannot be started: {error}") from error
    return Launched(id_, manager, order)


def _check_spec(manager: AsyncKernelManager, name: str) -> None:
    try:
        spec = manager.kernel_spec
    except NoSuchKernel:
        raise KernelStartError(
            f"there is no kernelspec {name!r} here; `jupyter kernelspec list` shows what there is"
        ) from None
    interpreter = spec.argv[0] if spec and spec.argv else ""
    if os.path.isabs(interpreter) and not os.path.exists(interpreter):
        raise KernelStartError(
            f"kernelspec {name}: its interpreter {interpreter} is gone; "
            f"install the kernel again, or remove it with `jupyter kernelspec remove {name}`"
        )
