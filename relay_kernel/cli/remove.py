"""``relay remove NAME``: forget a PC."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from relay_kernel.cli.completing import complete_target
from relay_kernel.core.errors import RelayError
from relay_kernel.settings.paths import find_places


def remove(
    name: Annotated[
        str, typer.Argument(help="As given to relay add.", autocompletion=complete_target)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Forget a PC: its entry in config.toml, its host key, its way in. The PC stays as it is."""
    from rich.console import Console

    from relay_kernel.cli.let_in import authorized_keys, gateway_command
    from relay_kernel.link.pins import read_pins, unpin
    from relay_kernel.settings.authorized_keys import revoke
    from relay_kernel.settings.edit import remove_target

    places = find_places().make()
    remove_target(places.config, name)
    pins = read_pins(places, name)
    unpin(places, name)
    try:
        revoked = revoke(authorized_keys(), gateway_command(places, name))
    except OSError as error:
        raise RelayError(f"{authorized_keys()} cannot be written: {error.strerror}") from error
    if as_json:
        forgotten = {"host_keys": [key.fingerprint for key in pins], "way_in": revoked}
        print(json.dumps({"target": name, "config": str(places.config), **forgotten}, indent=2))
        return
    Console(soft_wrap=True).print(f"{name} is forgotten. Notebooks go on here.", highlight=False)
