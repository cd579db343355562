"""``relay add NAME --ssh me@host:port``: pair with a PC, and put the agent on it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.config import ConfigError, TargetConfig, check_name, load_config
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from rich.console import Console

    from relay_kernel.link.pins import HostKey
    from relay_kernel.link.probe import Surroundings
    from relay_kernel.settings.paths import Places


def add(
    name: Annotated[str, typer.Argument(help="What the PC is called here: pc, desk, lab-2.")],
    ssh: Annotated[
        str | None,
        typer.Option(help="Where it is: me@host, me@host:port or a Host alias of ssh_config."),
    ] = None,
    identity: Annotated[
        Path | None, typer.Option(help="The private key to log in with.", show_default="yours")
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(help="An interpreter there that has relay-kernel; nothing is installed."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the host key shown.")] = False,
) -> None:
    """Pair with a PC: check and pin its host key, log in, install the agent, write config.toml."""
    from rich.console import Console

    places = find_places().make()
    target = _target(places, name, ssh, identity, python)
    console = Console(soft_wrap=True, highlight=False)
    asyncio.run(_Pairing(places, target, console).run(accept=yes))


def _target(
    places: Places, name: str, ssh: str | None, identity: Path | None, python: str | None
) -> TargetConfig:
    """What was asked for; what was left out stays as it is configured.

    Raises:
        ConfigError: It is wrong, or ``config.toml`` is.
    """
    wrong = check_name(name)
    if wrong:
        raise ConfigError(f"{name!r} {wrong}")
    known = load_config(places.config).target(name)
    if ssh is None and (known is None or known.ssh is None):
        raise ConfigError(f"say where {name} is: relay add {name} --ssh me@host:port")
    from relay_kernel.settings.address import parse_address

    known = known or TargetConfig(name)
    target = TargetConfig(
        name=name,
        ssh=ssh or known.ssh,
        identity=(identity.expanduser().absolute() if identity else known.identity),
        python=python or known.python,
    )
    try:
        parse_address(target.ssh or "")
    except ValueError as error:
        raise ConfigError(f"--ssh: {error}") from error
    if target.identity is not None and not target.identity.is_file():
        raise ConfigError(f"--identity: the file {target.identity} does not exist")
    return target


class _Pairing:
    """One run of ``relay add``, step by step, in plain words."""

    def __init__(self, places: Places, target: TargetConfig, console: Console) -> None:
        self._places = places
        self._target = target
        self._console = console

    async def run(self, *, accept: bool) -> None:
        """All of it. ``config.toml`` is written last, once everything worked.

        Args:
            accept: Take the host key as it is shown, without asking.

        Raises:
            RelayError: One line that says what to do.
        """
        from relay_kernel.link.install import install_agent
        from relay_kernel.link.pins import fetch_host_key
        from relay_kernel.link.probe import probe
        from relay_kernel.link.ssh import connect
        from relay_kernel.settings.edit import add_target

        target = self._target
        self._pin(await fetch_host_key(target), accept=accept)
        conn = await connect(target, self._places)
        try:
            around = await probe(conn, everything=True)
            self._describe(around)
            installed = await install_agent(conn, around, show=self._step)
        finally:
            conn.abort()
        done = "installed" if installed.fresh else "there already"
        self._step(f"agent {done}: {installed.python}")
        add_target(
            self._places.config,
            target.name,
            ssh=target.ssh,
            identity=target.identity,
            python=target.python,
        )
        self._step(f"written to {self._places.config}")
        self._console.print(f"{target.name} is ready: cells run there whenever it is on.")

    def _pin(self, key: HostKey, *, accept: bool) -> None:
        """Have the user accept ``key``, unless it is the one that is pinned.

        Raises:
            RelayError: The user does not, or cannot be asked.
        """
        from relay_kernel.link.pins import pin, read_pins

        name, pinned = self._target.name, read_pins(self._places, self._target.name)
        self._step(f"{self._target.ssh} shows the host key {key}")
        if key in pinned:
            self._step("that is the one pinned for it")
            return
        for old in pinned:
            self._console.print(f"[bold]Another key was pinned for {name}: {old}[/bold]")
        if not accept and not self._ask():
            raise RelayError(f"the host key was not accepted; {name} is not added")
        pin(self._places, name, key)

    def _ask(self) -> bool:
        if not sys.stdin.isatty():
            raise RelayError(
                "nobody is here to accept the host key: compare it with ssh-keygen -lf "
                "/etc/ssh/ssh_host_ed25519_key.pub on that machine, then run this with --yes"
            )
        self._console.print(
            "Compare it on that machine: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub"
        )
        return typer.confirm("Is it the same?", default=False)

    def _describe(self, around: Surroundings) -> None:
        pythons = ", ".join(f"{path} ({v[0]}.{v[1]})" for v, path in around.pythons) or "none"
        self._step(f"logged in: {around.host}, {around.system}")
        self._step(f"Python there: {pythons}")

    def _step(self, text: str) -> None:
        from rich.markup import escape

        self._console.print(f"  {escape(text)}")
