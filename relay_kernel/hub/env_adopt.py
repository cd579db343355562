"""Takes over on the server what a notebook has installed at a target."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from relay_kernel.core.blueprint import Kind
from relay_kernel.envs.uv import Uv, find_uv

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from relay_kernel.core.blueprint import Blueprint, Drift, Package

log = logging.getLogger(__name__)


def made_there(
    differences: Iterable[Drift], found: Blueprint, overlay: Collection[str]
) -> list[Package]:
    """What is new at a target, or in another version.

    Args:
        differences: from the server.
        found: what the target has.
        overlay: names of what it had of its own before.
    """
    have = found.by_name
    new = {
        each.name
        for each in differences
        if each.kind is Kind.VERSION or (each.kind is Kind.OVERLAY and each.name not in overlay)
    }
    return [have[name] for name in sorted(new)]


async def adopt(python: str, packages: Iterable[Package]) -> list[str]:
    """Install packages on the server as well, in the same version; the rest is left as it is.

    Args:
        python: the interpreter of the environment here.
        packages: what was installed there.

    Returns:
        The names of those that are here now.
    """
    uv = Uv(find_uv())
    adopted = []
    for package in packages:
        options = ("--no-deps", "--only-binary", ":all:", "--python", python)
        done = await uv.run("pip", "install", *options, f"{package.name}=={package.version}")
        if done.ok:
            adopted.append(package.name)
        else:
            log.warning("%s cannot be installed here too: %s", package.requirement, done.reason)
    return adopted
