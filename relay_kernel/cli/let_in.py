"""``relay add NAME --dials-in``: let a PC in that cannot be dialled, and nothing but its agent."""

from __future__ import annotations

import getpass
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from relay_kernel import __version__
from relay_kernel.cli.service import environment, relay_command
from relay_kernel.settings.authorized_keys import authorize, gateway_line, parse_public_key
from relay_kernel.settings.config import ConfigError, check_name

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

_ON_THE_PC = """On the PC, with Python {python} and relay-kernel {version} (pip install .):
  relay join {user}@{host} --name {name}
{host} stands for whatever the PC reaches this server by. It shows its key, and what to run here:
  relay add {name} --dials-in --key "ssh-ed25519 ..."
Then it joins by itself, now and after every break; with --service, from every boot on."""


def let_in(places: Places, name: str, key: str | None, *, accept: bool) -> None:
    """Write the target into ``config.toml``, and its key into ``authorized_keys``.

    Args:
        places: Of this user.
        name: The target's.
        key: The PC's public key; ``None`` only says what to do on the PC.
        accept: Write ``authorized_keys`` without asking.

    Raises:
        ConfigError: The name or the key is wrong, or ``config.toml`` is.
        RelayError: ``authorized_keys`` cannot have the line.
    """
    from relay_kernel.settings.edit import add_target

    wrong = check_name(name)
    if wrong:
        raise ConfigError(f"{name!r} {wrong}")
    is_let_in = key is not None and _authorize(places, name, key, accept=accept)
    add_target(places.config, name, dials_in=True)
    print(f"  written to {places.config}: {name} dials in")
    if key is None:
        python = "{}.{}".format(*sys.version_info[:2])
        user, host = getpass.getuser(), platform.node()
        print(
            _ON_THE_PC.format(python=python, version=__version__, user=user, host=host, name=name)
        )
    elif is_let_in:
        print(f"{name} may dial in: cells run there as soon as relay join does.")


def gateway_command(places: Places, name: str) -> list[str]:
    """What sshd runs for the PC, with full paths."""
    settings = [f"{key}={value}" for key, value in environment(places).items()]
    return [*(["/usr/bin/env", *settings] if settings else []), *relay_command(), "gateway", name]


def authorized_keys() -> Path:
    """Where sshd looks for this user's keys, unless it is told otherwise."""
    return Path.home() / ".ssh" / "authorized_keys"


def _authorize(places: Places, name: str, text: str, *, accept: bool) -> bool:
    """Returns whether the key is let in now."""
    try:
        key = parse_public_key(text)
    except ValueError as error:
        raise ConfigError(f"--key: {error}") from error
    line = gateway_line(name, gateway_command(places, name), key)
    path = authorized_keys()
    print(f"  the line for {path}:\n{line}")
    if not accept and not _ask(path):
        print("  not written: put it there yourself")
        return False
    try:
        fresh = authorize(path, line, key)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    print(f"  {'written to' if fresh else 'it stands already in'} {path}")
    return True


def _ask(path: Path) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"Write it to {path}?", default=True)
