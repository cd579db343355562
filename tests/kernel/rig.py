"""What of R its answers and its status file look at: real parts, and no kernel."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.core.router import Router
from relay_kernel.kernel.files import NotebookFiles
from relay_kernel.kernel.restore import Restore
from relay_kernel.kernel.state import StateMover
from relay_kernel.kernel.targets import Callbacks, LocalTarget, RemoteTarget, TargetLink
from relay_kernel.settings.config import Config, TargetConfig
from relay_kernel.store.chunks import Store
from relay_kernel.store.kept import Held, KeptStates

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

PC = "pc"


@dataclass
class Notebook:
    """A notebook between its PC and the server; events are fed to its router."""

    router: Router
    links: dict[str, TargetLink]
    state: StateMover
    restore: Restore
    files: NotebookFiles

    def feed(self, *events: ev.Event) -> None:
        for event in events:
            self.router.handle(event, time.monotonic())

    def run(self, cell: int, target: str) -> None:
        """Run a cell to its end, up to its state being whole on the server."""
        self.feed(ev.CellSubmitted(cell))
        running = self.router.running
        assert running
        assert self.router.primary == target
        self.feed(
            ev.CellFinished(target, running.epoch, cell, ok=True),
            ev.SnapshotArrived(running.epoch, cell),
        )


def notebook(places: Places) -> Notebook:
    """A notebook whose local kernel is up, and whose PC was never seen."""
    store = Store(places.store / "book")
    callbacks = Callbacks(event=lambda event: None, report=lambda target, message: None)
    links: dict[str, TargetLink] = {
        PC: RemoteTarget(PC, callbacks, places, notebook="book", heartbeat=1.0, lost_after=60.0),
        LOCAL: LocalTarget(callbacks, store, places.run),
    }
    router = Router([PC, LOCAL])
    primary = lambda: (router.primary, router.epoch)  # noqa: E731
    state = StateMover(store, links, lambda event: None, primary)
    kept = KeptStates(places.kept, 3, 1e9)
    restore = Restore(kept, state, "book", {}, Held(store.root))
    config = Config((TargetConfig(PC, ssh="me@pc"),))
    files = NotebookFiles(places, places.run, "python3")
    files.configure(config)
    made = Notebook(router, links, state, restore, files)
    made.feed(ev.TargetOpened(LOCAL), ev.KernelStarted(LOCAL))
    return made
