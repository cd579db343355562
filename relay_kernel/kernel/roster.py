"""The targets of a notebook: those that ``config.toml`` names, also while the notebook is open."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from relay_kernel.core import events as ev
from relay_kernel.settings.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from relay_kernel.kernel.files import NotebookFiles
    from relay_kernel.kernel.relay import Relay
    from relay_kernel.kernel.targets import TargetLink
    from relay_kernel.settings.followed import FollowedConfig

log = logging.getLogger(__name__)

#: Seconds between looks at ``config.toml``.
LOOK = 1.0


class Roster:
    """Gives a notebook its targets, and those that are added later as well.

    Args:
        config: names the targets.
        relay: the notebook.
        files: its files, which are kept equal where there is a target.
        link: makes the link to a target.
        start: runs something for as long as the notebook is open.
    """

    def __init__(
        self,
        config: FollowedConfig,
        relay: Relay,
        files: NotebookFiles,
        link: Callable[[str], TargetLink],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._config = config
        self._relay = relay
        self._files = files
        self._link = link
        self._start = start
        self._named: set[str] = set()

    def apply(self) -> None:
        """Have the notebook use the targets that are named now."""
        config = self._config.now
        names = tuple(target.name for target in config.targets)
        new = [name for name in names if name not in self._relay.links]
        for name in new:
            self._relay.connect(name, self._link(name))
        self._files.configure(config)
        self._relay.emit(ev.TargetsConfigured(names))
        for name in new:
            self._start(self._relay.links[name].run())
        for name in set(names) - self._named - set(new):
            self._relay.links[name].hurry()
        self._named = set(names)

    async def run(self) -> None:
        """Go on looking. Never returns."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                if self._config.look():
                    self.apply()
            except ConfigError as error:
                log.warning("%s", error)
