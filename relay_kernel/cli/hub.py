"""``relay hub``: the process that holds the links to the PCs. Started on demand."""

from __future__ import annotations

import json
import logging
import os
from typing import Annotated

import typer

from relay_kernel.settings.config import ConfigError
from relay_kernel.settings.paths import find_places


def hub(
    idle_after: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", help="End after so many seconds without a client."
        ),
    ] = 600.0,
    service: Annotated[
        bool, typer.Option("--service", help="Install it as a systemd unit, and return.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs; with --service.")] = False,
    lock: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Hold the links to the PCs for all notebooks here. Started by itself when it is needed."""
    if service:
        _install(as_json=as_json)
        return
    if as_json:
        raise ConfigError("--json goes with --service: what a hub does is shown by relay logs")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    from relay_kernel.hub.lock import AlreadyRunningError, take_lock
    from relay_kernel.hub.server import Hub
    from relay_kernel.link.loop import run

    places = find_places().make()
    try:
        # Whoever started this has taken the lock for it, and handed it down open.
        held = take_lock(places) if lock is None else os.fdopen(lock, "ab")
    except AlreadyRunningError as error:
        logging.getLogger(__name__).info("%s", error)
        return
    with held:
        run(Hub(places, idle_after=idle_after).run())


def _install(*, as_json: bool) -> None:
    """Have systemd run a hub from now on."""
    from relay_kernel.cli.service import install, make_unit

    arguments = ["hub", "--idle-after", "inf"]
    description = "relay-kernel: holds the links to the PCs"
    # Where one was started on demand, it looks again from time to time.
    unit = make_unit("relay-hub", description, arguments, find_places().make(), pause=10)
    facts = install(unit, (lambda _: None) if as_json else print)
    if as_json:
        print(json.dumps(facts, indent=2))
