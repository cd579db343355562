"""``relay files-plane``: the process that keeps folders equal. Started on demand."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import typer

from relay_kernel.settings.paths import find_places

HIDDEN = True


def files_plane(
    idle_after: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", help="End after so many seconds in which nobody needs it."
        ),
    ] = 600.0,
    lock: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Keep the folders of all notebooks here equal to those of the PCs. Started by itself."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    from relay_kernel.hub.files import FilesService
    from relay_kernel.hub.lock import AlreadyRunningError, take
    from relay_kernel.link.loop import run

    places = find_places().make()
    try:
        # Whoever started this has taken the lock for it, and handed it down open.
        held = take(places.files_lock, "the file plane") if lock is None else os.fdopen(lock, "ab")
    except AlreadyRunningError as error:
        logging.getLogger(__name__).info("%s", error)
        return
    with held:
        run(FilesService(places, idle_after=idle_after).run())
