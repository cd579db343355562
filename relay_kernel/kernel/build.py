"""Puts one R together from its parts."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

from relay_kernel.core import events as ev
from relay_kernel.core.fence import heartbeat
from relay_kernel.core.model import LOCAL, OnLoss, Policy
from relay_kernel.core.router import Router
from relay_kernel.kernel.files import NotebookFiles, folder_of
from relay_kernel.kernel.relay import Relay
from relay_kernel.kernel.restore import Restore, about
from relay_kernel.kernel.roster import Roster
from relay_kernel.kernel.state import StateMover
from relay_kernel.kernel.status import StatusFile
from relay_kernel.kernel.targets import Callbacks, LocalTarget, RemoteTarget, TargetLink
from relay_kernel.settings.config import ConfigError
from relay_kernel.settings.followed import FollowedConfig
from relay_kernel.settings.paths import find_places
from relay_kernel.store.chunks import Store, sweep
from relay_kernel.store.kept import Held, KeptStates

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from relay_kernel.agent.launch import Launched
    from relay_kernel.kernel.frontend import FrontEnd
    from relay_kernel.kernel.setup import Setup

log = logging.getLogger(__name__)


def build(
    setup: Setup,
    front: FrontEnd,
    start: Callable[[Coroutine[Any, Any, None]], None],
    on_end: Callable[[], None],
    ahead: Launched | None = None,
) -> Relay:
    """Build R for one notebook.

    Args:
        setup: what it was started with.
        front: its front ends.
        start: runs a part of it for as long as it lives.
        on_end: called when it has ended.
        ahead: the server's kernel, if it was launched already.
    """
    places = find_places().make()
    config = FollowedConfig(places.config)
    complaint = _read(config)
    wanted = config.now.kernel
    setup.limits = {
        "seconds_per_component": wanted.seconds_per_component,
        "bytes_per_component": wanted.bytes_per_component,
    }
    policy = Policy(cast("OnLoss", wanted.on_loss), wanted.lost_after, wanted.wait_at_submit)
    router = Router([LOCAL], policy)
    living = frozenset(path.stem for path in places.kernels.glob("*.json"))
    sweep(places.store, time.time(), living)
    kept = KeptStates(places.kept, wanted.keep_states, wanted.keep_gib * (1 << 30))
    kept.adopt(places.store)
    kept.trim(time.time())
    held = Held(places.store / setup.notebook)
    store = Store(places.store / setup.notebook)
    # A process of this notebook may have been killed while it wrote.
    store.untidy = True
    folder = setup.make_folder(places)
    setup.key = front.key.decode()

    # The parts know each other in a circle: links report to R, and R sends over links.
    relay: Relay
    callbacks = Callbacks(
        event=lambda event: relay.emit(event),
        report=lambda target, message: relay.report(target, message),
    )
    links: dict[str, TargetLink] = {LOCAL: LocalTarget(callbacks, store, folder, ahead)}
    state = StateMover(
        store,
        links,
        callbacks.event,
        primary=lambda: (router.primary, router.epoch),
        about=lambda text, cell: about(setup.path, setup.notebook, text, cell, time.time()),
        on_safe=lambda: relay.changed(),
    )
    infos: dict[str, dict[str, Any]] = {}
    restore = Restore(kept, state, setup.path or setup.notebook, infos, held)
    status = StatusFile(places.kernels / f"{setup.notebook}.json", setup, router, links, state)
    files = NotebookFiles(places, folder_of(setup.path), setup.spec)
    relay = Relay(setup, router, front, links, state, restore, files, status, on_end)

    def link(name: str) -> TargetLink:
        return RemoteTarget(
            name,
            callbacks,
            places,
            notebook=setup.notebook,
            heartbeat=heartbeat(policy, wanted.heartbeat),
            lost_after=wanted.lost_after,
        )

    roster = Roster(config, relay, files, link, start)
    roster.apply()
    if complaint:
        relay.emit(ev.TargetRefused(LOCAL, complaint))
    for part in (links[LOCAL], files, roster):
        start(part.run())
    return relay


def _read(config: FollowedConfig) -> str:
    """Read the configuration; what is wrong with it."""
    try:
        config.look()
    except ConfigError as error:
        log.warning("%s", error)
        return f"{error}; until that is mended, everything runs here"
    return ""
