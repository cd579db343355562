"""Which environment a kernel at a PC is started in: one that mirrors the server's, or its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel

from relay_kernel.agent.errors import KernelStartError
from relay_kernel.envs.errors import EnvError
from relay_kernel.envs.mirror import Mirror, held, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Seconds between looks whether an environment is there that was not.
LOOK = 0.25


class MirroredSpecs(KernelSpecManager):
    """Knows one kernelspec: the server's, with the interpreter of the environment here."""

    def __init__(self, environment: Path) -> None:
        super().__init__()
        self._environment = environment

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """See ``KernelSpecManager``."""
        record = read_record(self._environment)
        if record is None:
            raise NoSuchKernel(kernel_name)
        python = os.fspath(self._environment / "bin" / "python")
        argv = [python, *record.spec["argv"][1:]]
        return KernelSpec(resource_dir="", **{**record.spec, "argv": argv})


def mirror_of(mirrors: Path | None, order: Mapping[str, Any]) -> Mirror | None:
    """Where the environments are that mirror the one of a kernel that was ordered.

    Args:
        mirrors: the environments of all servers; None on a server.
        order: ``spec``, and ``server``, which names the server that ordered it.
    """
    if mirrors is None or not order.get("server"):
        return None
    try:
        return Mirror(mirrors / os.path.basename(order["server"]), order["spec"])
    except EnvError:
        return None


@contextlib.contextmanager
def specs_for(mirror: Mirror | None) -> Iterator[KernelSpecManager | None]:
    """Where the kernelspec comes from; while this lasts, its environment is not removed.

    Args:
        mirror: see :func:`mirror_of`.

    Returns:
        None: from this machine, as it has them.

    Raises:
        KernelStartError: what mirrors the server's is not ready, and there is nothing else.
    """
    if mirror is None:
        yield None
        return
    note = mirror.note
    with held(mirror) as environment:
        if environment is not None and not (note and note.blocks):
            yield MirroredSpecs(environment)
            return
        if note and not _is_own(mirror.name):
            raise KernelStartError(note.text)
        yield None


def _is_own(name: str) -> bool:
    """Whether a person has a kernel of this name here; the agent's own environment has one too."""
    try:
        argv = KernelSpecManager().get_kernel_spec(name).argv
    except NoSuchKernel:
        return False
    return os.path.isabs(argv[0]) and Path(argv[0]).parent != Path(sys.executable).parent


def usable(mirror: Mirror | None) -> Path | None:
    """The environment that a kernel would be started in now; None if none that mirrors another."""
    if mirror is None or ((note := mirror.note) and note.blocks):
        return None
    return mirror.current


async def another(
    mirror: Mirror, than: Path | None, told: str, tell: Callable[[str], None]
) -> None:
    """Return when there is an environment to start a kernel in, and it is another one.

    Args:
        mirror: where it will be.
        than: the one in which no kernel could be started, if there was any.
        told: why, as the notebook knows it.
        tell: is called with each other reason that there is until then.
    """
    while usable(mirror) in {None, than}:
        if (note := mirror.note) and note.text != told:
            told = note.text
            tell(told)
        await asyncio.sleep(LOOK)
