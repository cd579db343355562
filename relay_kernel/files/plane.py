"""The file plane on the server: every folder that is kept equal, for every target.

Knows nothing of how a target is reached: whoever does runs :meth:`Plane.run` on each line.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.core.errors import RelayError
from relay_kernel.files.driver import Driver
from relay_kernel.files.end import state_name
from relay_kernel.files.folder import Folder
from relay_kernel.files.pair import Pair
from relay_kernel.files.rules import DEFAULT_IGNORE, GIB, OWN, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay_kernel.files.line import Line
    from relay_kernel.settings.config import Config

log = logging.getLogger(__name__)

#: Seconds between attempts at a folder that cannot be worked on.
AGAIN = 5.0


class NoSuchFolderError(RelayError):
    """A folder is not kept equal, or may not be."""


def name_of(folder: Path, home: Path) -> str:
    """What ``folder`` is called on the line: its path below the home.

    Raises:
        NoSuchFolderError: it may not be kept equal; one line says why.
    """
    if not folder.is_absolute() or ".." in folder.parts or not folder.is_relative_to(home):
        raise NoSuchFolderError(
            f"{folder} is not kept equal: only folders below the home {home} can be, which "
            "have the same place at each target"
        )
    if folder == home:
        raise NoSuchFolderError(
            f"{folder} is your whole home, which is not kept equal: put notebooks into a "
            "folder of their own"
        )
    return str(folder.relative_to(home))


@dataclass
class Kept:
    """A folder that is kept equal."""

    name: str
    """On the line: its path below the home."""
    path: Path
    rules: Rules
    driver: Driver
    pairs: dict[str, Pair] = field(default_factory=dict)
    """By target."""


class Plane:
    """All of them.

    Args:
        home: of this user; folders lie below it.
        state: 0700; what is remembered of them.
        tell: called on the loop with a word and its fields; see :class:`Pair`.
    """

    def __init__(
        self,
        home: Path,
        state: Path,
        tell: Callable[[str, dict[str, Any]], None] = lambda word, fields: None,
    ) -> None:
        self._home = home
        self._state = state
        self._tell = tell
        self._used: dict[str, Path] = {}
        self._kept: dict[str, Kept] = {}
        self._targets: tuple[str, ...] = ()
        self._rules = Rules()
        self._configured: tuple[Path, ...] | None = None
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self.troubles: dict[str, str] = {}
        """Folders that cannot be worked on here, and why."""

    @property
    def is_wanted(self) -> bool:
        """Whether ``config.toml`` names folders."""
        return bool(self._configured)

    @property
    def has_folders(self) -> bool:
        """Whether anything is kept equal, or is to be as soon as it can be worked on."""
        return bool(self._kept or self.troubles or self._wanted())

    # ------------------------------------------------------------------ what is kept equal

    async def configure(self, config: Config) -> None:
        """From now on keep equal what ``config`` says, and what was asked for by :meth:`use`."""
        wanted = config.files
        ignore = tuple(dict.fromkeys((*DEFAULT_IGNORE, *wanted.ignore, f"{OWN.decode()}/")))
        async with self._changing:
            self._configured = wanted.folders
            self._rules = Rules(
                ignore,
                int(wanted.largest_gib * GIB),
                wanted.large,
                wanted.trash_days,
                int(wanted.trash_gib * GIB),
            )
            self._targets = tuple(target.name for target in config.targets)
            await self._apply()

    async def use(self, path: str) -> str:
        """Keep the folder of a notebook equal, while this process runs; returns its name.

        Raises:
            NoSuchFolderError: it may not be; one line says why.
        """
        folder = Path(path)
        if kept := self._holding(folder):
            return kept
        if self._configured is not None:
            raise NoSuchFolderError(
                f"{folder} is not kept equal: it is in none of the folders that [files] in "
                "config.toml names"
            )
        name = name_of(folder, self._home)
        async with self._changing:
            self._used[name] = folder
            await self._apply()
        if why := self.troubles.get(name):
            raise NoSuchFolderError(why)
        return name

    def _holding(self, folder: Path) -> str:
        """The name of the kept folder that ``folder`` is or lies in; empty: none."""
        found = (k.name for k in self._kept.values() if folder.is_relative_to(k.path))
        return next(found, "")

    def _wanted(self) -> dict[str, Path]:
        """The folders by name; one that lies in another is part of that."""
        configured = self._configured
        paths = {str(path.relative_to(self._home)): path for path in configured or ()}
        paths.pop(".", None)
        if configured is None:
            paths |= self._used
        return {
            name: path
            for name, path in paths.items()
            if not any(path != other and path.is_relative_to(other) for other in paths.values())
        }

    async def _apply(self) -> None:
        """Make what is kept what is wanted."""
        wanted = self._wanted()
        for name, kept in [*self._kept.items()]:
            if name not in wanted or kept.rules != self._rules:
                del self._kept[name]
                await self._close(kept)
        self.troubles = {name: why for name, why in self.troubles.items() if name in wanted}
        for name, path in wanted.items():
            if name not in self._kept:
                await self._open(name, path)
        for kept in self._kept.values():
            await self._pair(kept)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _open(self, name: str, path: Path) -> None:
        state = self._state / state_name(name)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        driver = Driver(Folder(path, state, self._rules))
        try:
            await driver.open(adopt=name == self._adopted)
        except (RelayError, OSError) as error:
            await driver.close()
            if self.troubles.get(name) != str(error):
                log.warning("%s", error)
            self.troubles[name] = str(error)
            return
        self.troubles.pop(name, None)
        self._kept[name] = Kept(name, path, self._rules, driver)
        log.info("%s is kept equal", path)

    async def _pair(self, kept: Kept) -> None:
        for target in [target for target in kept.pairs if target not in self._targets]:
            kept.pairs.pop(target).close()
        for target in self._targets:
            if target not in kept.pairs:
                file = self._state / state_name(kept.name) / f"base-{target}.sqlite"
                kept.pairs[target] = Pair(
                    kept.name, target, kept.driver, file, kept.rules, self._tell
                )

    async def adopt(self, name: str) -> None:
        """Take a folder although it is not the one that it was: a person said so.

        Raises:
            NoSuchFolderError: it still cannot be worked on.
        """
        async with self._changing:
            if name in self.troubles:
                self._adopted = name
                await self._apply()
                self._adopted = ""
        if why := self.troubles.get(name):
            raise NoSuchFolderError(why)

    _adopted = ""

    async def retry(self) -> None:
        """Try again what could not be worked on."""
        if self.troubles:
            async with self._changing:
                await self._apply()

    async def _close(self, kept: Kept) -> None:
        for pair in kept.pairs.values():
            await pair.stop()
            pair.close()
        await kept.driver.close()

    async def close(self) -> None:
        """End; nothing may be called afterwards."""
        async with self._changing:
            for kept in self._kept.values():
                await self._close(kept)
            self._kept.clear()

    # ------------------------------------------------------------------ links

    async def run(self, target: str, line: Line) -> None:
        """Keep all folders equal over a line to ``target``; returns when it is closed."""
        closed = asyncio.ensure_future(line.closed.wait())
        running: dict[Pair, asyncio.Task[None]] = {}
        try:
            while not closed.done():
                changed = asyncio.ensure_future(self._changed.wait())
                for pair in self._pairs_of(target):
                    if pair not in running:
                        running[pair] = asyncio.ensure_future(pair.run(line))
                await asyncio.wait({closed, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                running = {pair: task for pair, task in running.items() if not task.done()}
        finally:
            closed.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    def _pairs_of(self, target: str) -> list[Pair]:
        return [kept.pairs[target] for kept in self._kept.values() if target in kept.pairs]

    # ------------------------------------------------------------------ for those who ask

    def pairs(self, target: str = "", folder: str = "") -> list[Pair]:
        """The pairs of a target, a folder, or both; empty: of all.

        Args:
            target: its name.
            folder: its name, or the path of anything in it.

        Raises:
            NoSuchFolderError: there is none; one line says why.
        """
        if target and target not in self._targets:
            known = ", ".join(self._targets) or "none"
            raise NoSuchFolderError(f"there is no target {target} (there are: {known})")
        name = folder if folder in self._kept else self._holding(Path(folder)) if folder else ""
        if folder and not name:
            why = self.troubles.get(folder) or f"{folder} is not kept equal"
            raise NoSuchFolderError(why)
        return [
            pair
            for kept in self._kept.values()
            if not name or kept.name == name
            for pair in kept.pairs.values()
            if not target or pair.target == target
        ]

    def folders(self) -> Iterator[Kept]:
        """What is kept equal."""
        yield from self._kept.values()

    def status(self) -> dict[str, Any]:
        """How everything stands: ``folders`` by name, and ``files`` summed up by target."""
        folders: dict[str, Any] = {
            kept.name: {
                "path": str(kept.path),
                "trouble": kept.driver.trouble,
                "notices": kept.driver.folder.notices,
                "targets": {pair.target: pair.status() for pair in kept.pairs.values()},
            }
            for kept in self._kept.values()
        }
        for name, why in self.troubles.items():
            folders[name] = {"path": str(self._home / name), "trouble": why, "targets": {}}
        return {"folders": folders, "files": self._summary(folders)}

    def _summary(self, folders: dict[str, Any]) -> dict[str, Any]:
        """For each target: ``pending``, ``conflicts``, ``last_sync``; all folders together."""
        summary = {}
        for target in self._targets:
            found = [f["targets"][target] for f in folders.values() if target in f["targets"]]
            synced = [one["last_sync"] for one in found]
            summary[target] = {
                "pending": sum(one["pending"] for one in found),
                "conflicts": sum(one["conflicts"] for one in found),
                "last_sync": min(synced, default=None) if None not in synced else None,
            }
        return summary
