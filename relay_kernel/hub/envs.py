"""The server's side of the environment plane: mirrors the kernels here at all targets.

It lives in the process of the file plane, as an object: :meth:`EnvPlane.run` for as long as that
lives, :meth:`EnvPlane.handle` for what others ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from relay_kernel.core.errors import RelayError
from relay_kernel.envs.errors import EnvError, LineClosedError
from relay_kernel.envs.specs import spec_stamp
from relay_kernel.envs.watch import Watch
from relay_kernel.hub.env_board import EnvBoard, EnvPhase
from relay_kernel.hub.env_link import EnvLink
from relay_kernel.hub.env_wanted import Environments, Wanted
from relay_kernel.settings.config import ConfigError
from relay_kernel.settings.followed import FollowedConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds between looks at ``config.toml`` and at the kernelspecs.
LOOK = 1.0
#: Seconds of quiet after which a changed environment is looked at: pip is at work for a while.
QUIET = 0.3
#: Seconds before an attempt that was cut is made again.
AGAIN = 0.05
#: Seconds for a target that is dialled for the first time.
REACH = 45.0
#: Seconds for what a client waits for, if it does not say.
PATIENCE = 600.0


class EnvPlane:
    """All kernels of the server at all targets.

    Args:
        places: of this user; the folders exist.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        places.envs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._environments = Environments(places.envs / "described.json")
        self._reading = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._board = EnvBoard(places.envs_status)
        self._config = FollowedConfig(places.config)
        self._specs: object = None
        self.links: dict[str, EnvLink] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watched: dict[str, set[str]] = {}
        self._touched: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._watch: Watch | None = None
        self._answers: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "status": self._on_status,
            "sync": self._on_sync,
            "caught_up": self._on_caught_up,
        }

    async def run(self) -> None:
        """Mirror, until cancelled."""
        self._watch = Watch(self._on_change)
        try:
            while True:
                await self._look()
                for task in [task for task in self._tasks.values() if task.done()]:
                    # A link never ends by itself, but where this process shall.
                    task.result()
                await asyncio.sleep(LOOK)
        finally:
            self._watch.close()
            self._watch = None
            if self._timer is not None:
                self._timer.cancel()
            await _end([*self._tasks.values()])
            self._board.close()

    # ------------------------------------------------------------------ what there is

    async def _look(self) -> None:
        """Follow ``config.toml`` and the kernelspecs; once this returns, they are known."""
        async with self._looking:
            await self._look_once()

    async def _look_once(self) -> None:
        is_new = False
        try:
            is_new = self._config.look()
        except ConfigError as error:
            # A wrong one changes nothing until it is mended.
            log.warning("%s", error)
        before, self._specs = self._specs, await asyncio.to_thread(spec_stamp)
        if not is_new and self._specs == before:
            return
        async with self._reading:
            new = await asyncio.to_thread(self._environments.read, self._config.now.envs)
        await self._follow_targets()
        self._board.keep(self._environments.specs, self.links)
        without = frozenset(map(canonicalize_name, self._config.now.envs.without))
        for link in self.links.values():
            names = self._names() if link.without != without else new
            link.without = without
            link.look(*names)
            if link.up.is_set():
                with contextlib.suppress(RelayError):
                    await link.forget(set(self._environments.specs))
        self._board.keep(self._environments.specs, self.links)

    async def _follow_targets(self) -> None:
        # Where a person names the interpreter, nothing is installed.
        names = {target.name for target in self._config.now.targets if target.python is None}
        gone = [name for name in self.links if name not in names]
        for name in gone:
            del self.links[name]
        await _end([self._tasks.pop(name) for name in gone])
        for name in sorted(names - self.links.keys()):
            link = EnvLink(
                *(name, self._places, self._board, self.wanted, self._names),
                self._config.now.kernel.heartbeat,
            )
            self.links[name] = link
            self._tasks[name] = asyncio.create_task(link.run())

    def _names(self) -> list[str]:
        """All kernels, those of open notebooks first."""
        used = _in_use(self._places)
        return sorted(self._environments.specs, key=lambda name: (name not in used, name))

    async def wanted(self, name: str) -> Wanted:
        """What targets should have of a kernel, as it is now.

        Raises:
            EnvError: it cannot be mirrored, or does not run.
        """
        # Descriptions are asked for one at a time, and each only once.
        async with self._reading:
            try:
                found = await asyncio.to_thread(self._environments.wanted, name)
            finally:
                more = self._follow_folders()
            if more:
                # It may have changed before it was followed.
                found = await asyncio.to_thread(self._environments.wanted, name)
            return found

    def _follow_folders(self) -> bool:
        """Watch all that is to be watched; returns whether that is more than before."""
        watched = self._environments.watched()
        more = bool(watched.keys() - self._watched.keys())
        if watched != self._watched and self._watch is not None:
            self._watched = watched
            self._watch.follow(watched)
        return more

    def _on_change(self, folders: Collection[str]) -> None:
        for folder in folders:
            self._touched |= self._watched.get(folder, set())
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET, self._look_at_touched)

    def _look_at_touched(self) -> None:
        self._timer = None
        names, self._touched = sorted(self._touched), set()
        for link in self.links.values():
            link.look(*names)

    @property
    def is_busy(self) -> bool:
        """Whether an environment is being built: the process had better stay."""
        states = (state for each in self.status().values() for state in each.values())
        return any(state["phase"] == EnvPhase.BUILDING.value for state in states)

    # ------------------------------------------------------------------ what others ask

    def status(self) -> dict[str, Any]:
        """Kernel -> target -> phase, drift and more; see :class:`EnvState`."""
        return self._board.report()

    async def sync(self, name: str) -> dict[str, str]:
        """Make a kernel's environment at all targets what it should be, now.

        Returns:
            Target -> what went wrong; empty: nothing did.

        Raises:
            EnvError: there is no such kernel.
        """
        await self._look()
        if name not in self._environments.specs:
            known = ", ".join(sorted(self._environments.specs)) or "none"
            raise EnvError(f"there is no kernelspec {name} that is mirrored; there are: {known}")
        results = {}
        for target, link in self.links.items():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(link.known.wait(), REACH)
            try:
                await link.settle(name)
                results[target] = ""
            except LineClosedError:
                results[target] = str(link.believed["error"]) or f"{target} is not there"
            except (RelayError, OSError) as error:
                results[target] = str(error)
        return results

    async def caught_up(self, spec: str, target: str, bound: float) -> bool:
        """Wait until a target has all that a kernel has here now; sources included.

        Args:
            spec: the kernel.
            target: its name.
            bound: seconds.

        Returns:
            Whether it has.
        """
        link = self.links.get(target)
        if link is None:
            return False
        try:
            async with asyncio.timeout(bound):
                await self._settle(link, spec)
        except (RelayError, OSError, TimeoutError) as error:
            log.info("%s at %s is not caught up: %s", spec, target, error or "no time")
            return False
        return self._board.get(spec, target).phase is EnvPhase.READY

    @staticmethod
    async def _settle(link: EnvLink, spec: str) -> None:
        """Make it equal; an attempt that is cut, or overtaken by changes, is made again."""
        while True:
            await link.up.wait()
            try:
                await link.settle(spec)
            except RelayError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(AGAIN)
            else:
                return

    async def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer what another process asks.

        Args:
            request: ``do``: ``status``; ``sync`` with ``name``, or without for all kernels;
                ``caught_up`` with ``spec``, ``target`` and ``seconds``.

        Raises:
            RelayError: it is not understood, or there is no such kernel.
        """
        answer = self._answers.get(str(request.get("do")))
        if answer is None:
            raise EnvError(f"the environment plane cannot {str(request.get('do'))[:40]!r}")
        return await answer(request)

    async def _on_status(self, request: dict[str, Any]) -> dict[str, Any]:
        targets = {name: link.believed for name, link in self.links.items()}
        return {"envs": self.status(), "targets": targets}

    async def _on_sync(self, request: dict[str, Any]) -> dict[str, Any]:
        await self._look()
        wanted = request.get("name")
        names = [str(wanted)] if wanted else self._names()
        results = {name: await self.sync(name) for name in names}
        return {"results": results, "envs": self.status()}

    async def _on_caught_up(self, request: dict[str, Any]) -> dict[str, Any]:
        spec, target = str(request.get("spec")), str(request.get("target"))
        bound = float(request.get("seconds", PATIENCE))
        return {"caught_up": await self.caught_up(spec, target, bound)}


def _in_use(places: Places) -> set[str]:
    """The kernels of open notebooks."""
    used = set()
    for path in places.kernels.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            used.add(str(json.loads(path.read_text(encoding="utf-8"))["kernel"]["spec"]))
    return used


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
