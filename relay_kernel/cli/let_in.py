"""``relay add NAME --dials-in``: let a PC in that cannot be dialled, and nothing but its agent."""

from __future__ import annotations

import getpass
import platform
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relay_kernel import __version__
from relay_kernel.cli.service import environment, relay_command
from relay_kernel.core.model import LOCAL
from relay_kernel.settings.authorized_keys import authorize, gateway_line, parse_public_key
from relay_kernel.settings.config import ConfigError, check_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.settings.paths import Places

_ON_THE_PC = """On the PC, with Python {python} and relay-kernel {version} (pip install .):
  {join}
{host} stands for whatever the PC reaches this server by. It shows its key, and what to run here:
  {add}
Then {name} joins by itself, now and after every break; with --service, from every boot on."""


def let_in(
    places: Places,
    name: str,
    key: str | None,
    show: Callable[[str], None],
    *,
    accept: bool,
    may_ask: bool = True,
) -> dict[str, Any]:
    """Write the target into ``config.toml``, and its key into ``authorized_keys``.

    Args:
        places: Of this user.
        name: The target's.
        key: The PC's public key; ``None`` only says what to do on the PC.
        show: Called with what is to be shown.
        accept: Write ``authorized_keys`` without asking.
        may_ask: Ask where somebody is there to answer; else it is not written without ``accept``.

    Returns:
        What was done and what is next, for programs: as ``relay add --json`` shows it.

    Raises:
        ConfigError: The name or the key is wrong, or ``config.toml`` is.
        RelayError: ``authorized_keys`` cannot have the line.
    """
    from relay_kernel.settings.edit import add_target

    wrong = check_name(name)
    if wrong:
        raise ConfigError(f"{name!r} {wrong}")
    written = None
    if key is not None:
        written = _authorize(places, name, key, show, accept=accept, may_ask=may_ask)
    add_target(places.config, name, dials_in=True)
    show(f"  written to {places.config}: {name} dials in")
    join = f"relay join {getpass.getuser()}@{platform.node()} --name {name}"
    add = f"relay add {name} --dials-in --key "
    following = [{"where": name, "run": join}]
    if key is None:
        add += '"ssh-ed25519 ..."'
        following.append({"where": LOCAL, "run": add})
        python = "{}.{}".format(*sys.version_info[:2])
        words = {"python": python, "version": __version__, "host": platform.node(), "name": name}
        show(_ON_THE_PC.format(**words, join=join, add=add))
    elif written and written["written"]:
        show(f"{name} may dial in: cells run there as soon as relay join does.")
    else:
        following.insert(0, {"where": LOCAL, "run": f"{add}{shlex.quote(key)} --yes"})
    return {"authorized_keys": written, "next": following}


def gateway_command(places: Places, name: str) -> list[str]:
    """What sshd runs for the PC, with full paths."""
    settings = [f"{key}={value}" for key, value in environment(places).items()]
    return [*(["/usr/bin/env", *settings] if settings else []), *relay_command(), "gateway", name]


def authorized_keys() -> Path:
    """Where sshd looks for this user's keys, unless it is told otherwise."""
    return Path.home() / ".ssh" / "authorized_keys"


def _authorize(
    places: Places,
    name: str,
    text: str,
    show: Callable[[str], None],
    *,
    accept: bool,
    may_ask: bool,
) -> dict[str, Any]:
    """Returns the file, our line for it, and whether it stands there now."""
    try:
        key = parse_public_key(text)
    except ValueError as error:
        raise ConfigError(f"--key: {error}") from error
    line = gateway_line(name, gateway_command(places, name), key)
    path = authorized_keys()
    facts = {"path": str(path), "line": line, "written": accept}
    show(f"  the line for {path}:\n{line}")
    if not accept and not (may_ask and _ask(path)):
        show("  not written: put it there yourself")
        return facts
    try:
        fresh = authorize(path, line, key)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    show(f"  {'written to' if fresh else 'it stands already in'} {path}")
    return {**facts, "written": True}


def _ask(path: Path) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"Write it to {path}?", default=True)
