"""The planes beside the state, and the machines, for as long as somebody looks at the notebook."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.core.errors import RelayError
from relay_kernel.core.model import Phase
from relay_kernel.core.overview import NAMED, Conflict, FilesView, Gpu, Usage
from relay_kernel.link.clock import now
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.core.overview import EnvironmentView
    from relay_kernel.core.router import Router
    from relay_kernel.kernel.files import NotebookFiles
    from relay_kernel.kernel.targets import TargetLink

log = logging.getLogger(__name__)

#: Seconds between two looks at what the planes have written down.
LOOK = 1.0
#: Seconds between two questions how busy a machine is.
MEASURE = 2.0
_LINKED = frozenset({Phase.LINKED, Phase.FILLING, Phase.READY})


class PlaneWatch:
    """Knows how files and environments stand, from what their process writes down for others.

    Args:
        files: of the notebook.
        changed: called when something is known better.
    """

    def __init__(self, files: NotebookFiles, changed: Callable[[], None]) -> None:
        self._places = files.places
        self._files = files
        self._changed = changed
        self._stamps: tuple[int, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._pending: dict[str, int] = {}
        self._conflicts: tuple[Conflict, ...] = ()
        self._total = 0
        self.environments: tuple[EnvironmentView, ...] = ()

    @property
    def view(self) -> FilesView:
        """The files, as last known."""
        files = self._files
        why = "" if files.in_use else files.why or "it is about to be"
        return FilesView(
            files.in_use,
            why,
            self._pending,
            self._conflicts,
            self._total,
            home=str(Path.home()),
            folder=str(files.folder),
        )

    def begin(self) -> None:
        """Somebody looks: know it now, and from now on."""
        if self._task is None:
            self.environments = self._files.environment_views()
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while True:
            stamps = (
                *map(_stamp, (self._places.files_status, self._places.envs_status)),
                int(self._files.in_use),
            )
            if stamps != self._stamps:
                self._stamps = stamps
                await self._read()
                self._changed()
            await asyncio.sleep(LOOK)

    async def _read(self) -> None:
        self.environments = self._files.environment_views()
        try:
            text = await asyncio.to_thread(self._places.files_status.read_text, encoding="utf-8")
            found: dict[str, dict[str, Any]] = json.loads(text)["files"]
            self._pending = {target: int(one["pending"]) for target, one in found.items()}
            self._total = sum(int(one["conflicts"]) for one in found.values())
        except (OSError, ValueError, KeyError, TypeError):
            self._pending, self._total = {}, 0
        self._conflicts = await self._ask_conflicts() if self._total else ()

    async def _ask_conflicts(self) -> tuple[Conflict, ...]:
        try:
            found = await self._files.conflicts()
            return tuple(
                Conflict(
                    path=f"{one['folder']}/{one['path']}",
                    copy=f"{one['folder']}/{one['copy']}",
                    target=one["target"],
                    at=one["at"],
                )
                for one in found[-NAMED:]
            )
        except (RelayError, OSError, KeyError, TypeError) as error:
            log.info("files: conflicts are not known: %r", error)
            return ()

    def close(self) -> None:
        """The notebook ends."""
        if self._task:
            self._task.cancel()


def _stamp(path: Path) -> int:
    """Changes with the file; 0: there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return hash((found.st_mtime_ns, found.st_ino))


class Meter:
    """Asks the agents how busy their machines are, while somebody watches.

    Args:
        router: knows which targets are linked.
        links: to ask over.
        usage: by target; where the answers go.
        changed: called when one has come.
    """

    def __init__(
        self,
        router: Router,
        links: dict[str, TargetLink],
        usage: dict[str, Usage],
        changed: Callable[[], None],
    ) -> None:
        self._router = router
        self._links = links
        self._usage = usage
        self._changed = changed
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, until: float) -> None:
        """Somebody watches until that moment."""
        self._until = until
        if self._timer is None:
            self._ask()

    def _ask(self) -> None:
        self._timer = None
        if now() >= self._until:
            self._usage.clear()
            return
        for name, link in self._links.items():
            # Over a link that is down, a question would wait and be answered too late.
            if self._router.targets[name].phase in _LINKED:
                link.send(Message("usage"))
            else:
                self._usage.pop(name, None)
        self._timer = asyncio.get_running_loop().call_later(MEASURE, self._ask)

    def answered(self, target: str, head: dict[str, Any]) -> None:
        """The agent of a target has answered."""
        gpus = tuple(Gpu(**one) for one in head["gpus"])
        self._usage[target] = Usage(**{**head, "gpus": gpus})
        self._changed()

    def close(self) -> None:
        """The notebook ends."""
        if self._timer:
            self._timer.cancel()
