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
    packages = list(packages)
    chosen = [each for each in packages if not each.is_pinned]
    # What a build brings along comes with the one that suits this machine.
    pinned = [each for each in packages if each.is_pinned and not (chosen and each.is_runtime())]
    adopted = []
    for package in pinned:
        if await _install(python, [f"{package.name}=={package.version}"], "--no-deps"):
            adopted.append(package.name)
    names = [each.requirement for each in chosen]
    if names and await _install(python, names, "--torch-backend", "auto"):
        adopted += [each.name for each in chosen]
    return adopted


async def _install(python: str, requirements: list[str], *options: str) -> bool:
    """Install on the server; returns whether that worked."""
    more = ("--only-binary", ":all:", "--python", python)
    done = await Uv(find_uv()).run("pip", "install", *options, *more, *requirements)
    if not done.ok:
        named = ", ".join(requirements)
        log.warning("%s cannot be installed here too: %s", named, done.reason)
    return done.ok
