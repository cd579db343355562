"""Fills an environment with packages: from an index where that has them, else from the server."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from relay_kernel.core.blueprint import JAX, TORCH, Origin
from relay_kernel.envs.errors import EnvError, ImpossibleError
from relay_kernel.envs.graphics import has_nvidia

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay_kernel.core.blueprint import Blueprint, Package
    from relay_kernel.envs.uv import Done, Uv

#: How many packages are tried before none is thought to be in the cache.
SAMPLES = 3
#: How many names one line has.
SHOWN = 5

#: What uv says where it is the network that fails, and not the package.
_NETWORK = re.compile(
    r"error sending request|dns error|Connect|Failed to fetch|timed out|[Nn]etwork"
)


class Supply(Protocol):
    """Has the server's own packages as wheels."""

    async def wheel(self, package: str) -> Path:
        """Bring the wheel of a package over; returns where it is.

        Raises:
            ImpossibleError: it cannot be packed, or would not run here.
        """
        ...


class Installer:
    """Fills environments.

    Args:
        uv: does the work.
        supply: for what the index does not have.
        show: called with each step, in a few words.
    """

    def __init__(self, uv: Uv, supply: Supply, show: Callable[[str], None]) -> None:
        self._uv = uv
        self._supply = supply
        self._show = show

    async def fill(self, python: str, packages: Sequence[Package], whole: Blueprint) -> None:
        """Install packages as they are on the server, and none besides.

        Args:
            python: the interpreter of the environment.
            packages: what to install.
            whole: all that the server has, what the choice of builds has brought there included.

        Raises:
            ImpossibleError: some cannot be had here; names them.
            EnvError: uv fails.
        """
        by_content = [each for each in packages if each.origin is not Origin.INDEX]
        by_name = [each for each in packages if each.origin is Origin.INDEX]
        pinned = [each for each in by_name if each.is_pinned]
        self._show(f"installing {len(packages)} packages")
        missing = await self._from_index(python, pinned)
        await self._from_server(python, [*by_content, *missing])
        for family, choose in ((TORCH, self._torch), (JAX, self._jax)):
            chosen = [each for each in by_name if each.name in family]
            if chosen:
                await choose(python, chosen, whole)

    # ------------------------------------------------------------------ by name

    async def _from_index(self, python: str, packages: Sequence[Package]) -> list[Package]:
        """Install what an index, or uv's cache, has; returns the rest."""
        if not packages:
            return []
        done = await self._install(python, packages)
        if done.ok:
            return []
        unreachable = _NETWORK.search(done.said) is not None
        self._show(f"not all is to be had here ({done.reason})")
        if unreachable and not await self._any(python, packages):
            return list(packages)
        return await self._one_by_one(python, packages, offline=unreachable)

    async def _any(self, python: str, packages: Sequence[Package]) -> bool:
        """Whether one of a few is in the cache; if none is, hardly another one will be."""
        for package in packages[:: max(1, len(packages) // SAMPLES)]:
            if (await self._install(python, [package], offline=True)).ok:
                return True
        return False

    async def _one_by_one(
        self, python: str, packages: Sequence[Package], *, offline: bool
    ) -> list[Package]:
        """Halve until what fails is alone: uv names one reason at a time."""
        half = len(packages) // 2
        if not half:
            return list(packages)
        missing: list[Package] = []
        for part in (packages[:half], packages[half:]):
            if not (await self._install(python, part, offline=offline)).ok:
                missing += await self._one_by_one(python, part, offline=offline)
        return missing

    async def _install(
        self, python: str, packages: Sequence[Package], *, offline: bool = False
    ) -> Done:
        options = ["--only-binary", ":all:", *(["--offline"] if offline else [])]
        return await self._run(python, "--no-deps", *options, *(p.requirement for p in packages))

    async def _run(self, python: str, *arguments: str) -> Done:
        return await self._uv.run(
            "pip", "install", "--python", python, *arguments, heard=self._heard
        )

    def _heard(self, line: str) -> None:
        if line.lstrip().startswith("Downloading "):
            self._show(line.strip().lower())

    # ------------------------------------------------------------------ from the server

    async def _from_server(self, python: str, packages: Sequence[Package]) -> None:
        """Install wheels of what is on the server."""
        if not packages:
            return
        wheels, refused = [], []
        for package in packages:
            try:
                wheels.append(await self._supply.wheel(package.name))
            except ImpossibleError as error:
                refused.append(str(error))
        if refused:
            more = f" and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
            raise ImpossibleError(
                f"it cannot be mirrored: {'; '.join(refused[:SHOWN])}{more}; to do without, "
                "name what cannot be mirrored in [envs] without"
            )
        paths = [os.fspath(path) for path in wheels]
        # A wheel of the same name may have been installed before, with other content.
        done = await self._run(python, "--no-deps", "--no-index", "--reinstall", *paths)
        if not done.ok:
            raise EnvError(f"uv cannot install what came from the server: {done.reason}")

    # ------------------------------------------------------------------ builds to choose from

    async def _torch(self, python: str, packages: Sequence[Package], whole: Blueprint) -> None:
        await self._choose(python, packages, whole, "--torch-backend", "auto")

    async def _jax(self, python: str, packages: Sequence[Package], whole: Blueprint) -> None:
        if not await asyncio.to_thread(has_nvidia):
            await self._choose(python, packages, whole)
            return
        series = "cuda13" if any("cuda13" in each.name for each in whole.packages) else "cuda12"
        extra = [f"jax[{series}]=={each.public}" for each in packages if each.name == "jax"]
        await self._choose(python, packages, whole, *extra)

    async def _choose(
        self, python: str, packages: Sequence[Package], whole: Blueprint, *more: str
    ) -> None:
        """Install the build that suits this machine, with what it needs; else any that runs."""
        names = [each.requirement for each in packages]
        pins = [each.requirement for each in whole.packages if not _follows(each)]
        constraints = Path(python).parent.parent / "relay-constraints.txt"
        constraints.write_text("\n".join(pins), encoding="utf-8")
        options = ("--only-binary", ":all:", "--constraint", os.fspath(constraints))
        try:
            for each in [more, ()] if more else [()]:
                self._show(f"choosing a build of {', '.join(names)}")
                if (await self._run(python, *options, *each, *names)).ok:
                    return
        finally:
            constraints.unlink()
        runtimes = [each for each in whole.packages if each.is_runtime()]
        missing = await self._from_index(python, [*packages, *runtimes])
        await self._from_server(python, missing)


def _follows(package: Package) -> bool:
    """Whether its version follows from the build that is chosen."""
    return package.is_runtime() or not package.is_pinned or package.origin is not Origin.INDEX
