"""Builds the environment of a kernel at a target, beside the one that is in use."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.core.blueprint import Blueprint, Kind, Origin, Package, by_hand, drift
from relay_kernel.envs.describe import describe
from relay_kernel.envs.durable import sync_all
from relay_kernel.envs.errors import EnvError
from relay_kernel.envs.install import Installer
from relay_kernel.envs.mirror import PARTIAL, Mirror, Record, read_record, sync, write_record
from relay_kernel.envs.overlay import carry
from relay_kernel.envs.pythons import find_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relay_kernel.envs.describe import Description
    from relay_kernel.envs.install import Supply
    from relay_kernel.envs.uv import Uv


@dataclass(frozen=True)
class Order:
    """What is to be built."""

    spec: dict[str, Any]
    """The kernelspec, as on the server."""
    whole: Blueprint
    """All that the server has."""

    @property
    def wanted(self) -> Blueprint:
        """What this target should have."""
        return self.whole.for_target()


class Builder:
    """Builds and changes the environments of one kernel.

    Args:
        mirror: where they are.
        uv: does the work.
        supply: has the server's packages.
        show: called with each step, in a few words.
        target: what this machine is called, for messages.
    """

    def __init__(
        self, mirror: Mirror, uv: Uv, supply: Supply, show: Callable[[str], None], target: str
    ) -> None:
        self._mirror = mirror
        self._uv = uv
        self._show = show
        self._target = target
        self._installer = Installer(uv, supply, show)

    async def build(self, order: Order) -> Path:
        """Build a new environment, and make it the one that counts.

        Cut off anywhere, the old one stays in use.

        Raises:
            ImpossibleError: it cannot be had here before a person changes something.
            EnvError: uv fails, or what came out is not what was wanted.
        """
        mirror = self._mirror
        await asyncio.to_thread(mirror.sweep)
        mirror.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        final = mirror.free(order.wanted.digest)
        partial = final.with_name(final.name + PARTIAL)
        self._show(f"looking for Python {order.whole.python}")
        base = await find_python(self._uv, order.whole.python, self._target)
        # It is built under a name that it does not keep.
        made = await self._uv.run(
            *("venv", "--no-project", "--relocatable", "--python", base, os.fspath(partial))
        )
        if not made.ok:
            raise EnvError(f"uv cannot make an environment with {base}: {made.reason}")
        try:
            await self._finish(order, partial, final)
        finally:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        await asyncio.to_thread(mirror.sweep)
        return final

    async def _finish(self, order: Order, partial: Path, final: Path) -> None:
        python = self._mirror.python(partial)
        before = await asyncio.to_thread(_old, self._mirror)
        kept = before.by_hand(order.wanted) if before else frozenset()
        install = order.wanted.without(kept)
        await self._installer.fill(python, install.packages, order.whole)
        # It takes minutes, in which a person may have gone on.
        old = await asyncio.to_thread(_old, self._mirror)
        if old is not None:
            await asyncio.to_thread(old.carry_over, partial, order.wanted, kept)
        found = await asyncio.to_thread(describe, python)
        record = Record(order.spec, order.wanted, _installed(order.wanted, found))
        record.chosen = _chosen(install.packages, found)
        if old is not None:
            # Still not what was chosen, and still a person's.
            record.chosen |= {n: v for n, v in old.record.chosen.items() if n in kept}
        _check(order.wanted, found)
        await asyncio.to_thread(self._publish, record, partial, final)

    def _publish(self, record: Record, partial: Path, final: Path) -> None:
        write_record(partial, record)
        sync_all(partial)
        partial.rename(final)
        sync(final.parent)
        self._mirror.switch(final)

    async def add(self, order: Order, names: Iterable[str]) -> None:
        """Install new packages into the present environment, which may be in use.

        Raises:
            EnvError: there is none, or as for :meth:`build`.
        """
        environment = self._mirror.current
        record = read_record(environment) if environment else None
        if environment is None or record is None:
            raise EnvError(f"there is no environment of {self._mirror.name} to be added to")
        new = [each for each in order.wanted.packages if each.name in set(names)]
        record.changing = [each.name for each in new]
        await asyncio.to_thread(write_record, environment, record)
        python = self._mirror.python(environment)
        await self._installer.fill(python, new, order.whole)
        found = await asyncio.to_thread(describe, python)
        if missing := {each.name for each in new} - found.packages.keys():
            raise EnvError(f"uv did not install {', '.join(sorted(missing))}")
        there = {**record.blueprint.by_name, **{each.name: each for each in new}}
        record.blueprint = replace(record.blueprint, packages=tuple(sorted(there.values())))
        record.installed |= _installed(Blueprint(order.whole.python, tuple(new)), found)
        record.chosen |= _chosen(new, found)
        record.changing, record.spec = [], order.spec
        await asyncio.to_thread(sync_all, environment)
        await asyncio.to_thread(write_record, environment, record)


@dataclass(frozen=True)
class _Old:
    """The environment that counted until now."""

    environment: Path
    record: Record
    found: Description

    def by_hand(self, wanted: Blueprint) -> frozenset[str]:
        """Packages of which a person has put another build there."""
        have = {name: about["version"] for name, about in self.found.packages.items()}
        return by_hand(wanted, have, self.record.chosen)

    def carry_over(self, new: Path, wanted: Blueprint, kept: frozenset[str]) -> None:
        """Bring along what a person has installed here.

        Args:
            new: the new environment.
            wanted: what it mirrors.
            kept: what of that is of a person's choice as well.
        """
        ours = {*wanted.by_name, *self.record.blueprint.by_name} - kept
        packages = self.found.packages
        own = [Package(n, about["version"]) for n, about in packages.items() if n not in ours]
        if wanted.chooses and not kept:
            own = [each for each in own if not each.is_runtime()]
        carry([Path(packages[each.name]["info"]) for each in own], self.environment, new)


def _old(mirror: Mirror) -> _Old | None:
    """The environment there is; none that does not run any more, for nothing comes out of it."""
    environment = mirror.current
    if environment is None:
        return None
    # One that cannot be read says of nothing that it is ours: then all is kept.
    record = read_record(environment) or Record({}, Blueprint(""))
    with contextlib.suppress(EnvError):
        return _Old(environment, record, describe(mirror.python(environment)))
    return None


def _chosen(packages: Iterable[Package], found: Description) -> dict[str, str]:
    """The builds that were chosen here, by name."""
    names = [each.name for each in packages if not each.is_pinned]
    return {name: found.packages[name]["version"] for name in names if name in found.packages}


def _installed(wanted: Blueprint, found: Description) -> dict[str, list[str]]:
    """The digests of what counts by content: on the server, and as it was installed here."""
    return {
        each.name: [each.content, found.packages[each.name].get("content", "")]
        for each in wanted.packages
        if each.origin is not Origin.INDEX and each.name in found.packages
    }


def _check(wanted: Blueprint, found: Description) -> None:
    """Refuse what is not as wanted.

    Raises:
        EnvError: names a difference.
    """
    have = Blueprint(found.python, tuple(_as_wanted(wanted, found)))
    wrong = [each for each in drift(wanted, have, ()) if each.is_fault]
    wrong = [each for each in wrong if each.kind is not Kind.SOURCES]
    if wrong:
        raise EnvError(f"the new environment is not as it should be: {wrong[0].text}")


def _as_wanted(wanted: Blueprint, found: Description) -> Iterable[Package]:
    for each in wanted.packages:
        about = found.packages.get(each.name)
        if about is not None:
            yield replace(each, version=about["version"])
