"""``relay remove NAME``: forget a PC."""

from __future__ import annotations

from typing import Annotated

import typer

from relay_kernel.settings.paths import find_places


def remove(
    name: Annotated[str, typer.Argument(help="As given to relay add.")],
) -> None:
    """Forget a PC: its entry in config.toml and its pinned host key. Nothing changes on the PC."""
    from rich.console import Console

    from relay_kernel.link.pins import unpin
    from relay_kernel.settings.edit import remove_target

    places = find_places().make()
    remove_target(places.config, name)
    unpin(places, name)
    Console(soft_wrap=True).print(f"{name} is forgotten. Notebooks go on here.", highlight=False)
