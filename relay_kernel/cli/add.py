"""``relay add NAME``: pair with a PC, and put the agent on it; or let one in that dials in."""

from __future__ import annotations

import asyncio
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from relay_kernel.cli.completing import complete_target
from relay_kernel.settings.config import ConfigError, TargetConfig, check_name, load_config
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from rich.console import Console

    from relay_kernel.link.install import Installed
    from relay_kernel.link.probe import Surroundings
    from relay_kernel.link.ssh import Connection
    from relay_kernel.settings.paths import Places


def add(
    name: Annotated[
        str,
        typer.Argument(
            help="What the PC is called here: pc, desk, lab-2.", autocompletion=complete_target
        ),
    ],
    ssh: Annotated[
        str | None,
        typer.Option(help="Where it is: me@host, me@host:port or a Host alias of ssh_config."),
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The private key to log in with.", show_default="yours"),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="An interpreter there that has relay-kernel; nothing is installed."
        ),
    ] = None,
    dials_in: Annotated[
        bool, typer.Option("--dials-in", help="It cannot be dialled: it runs relay join instead.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(help="With --dials-in: its public key, as relay join shows it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is shown.")] = False,
) -> None:
    """Pair with a PC: check and pin its host key, log in, install the agent, write config.toml."""
    from rich.console import Console

    places = find_places().make()
    if dials_in or key is not None:
        _refuse_both(ssh, identity, python)
        from relay_kernel.cli.let_in import let_in

        let_in(places, name, key, accept=yes)
        return
    target = _target(places, name, ssh, identity, python)
    console = Console(soft_wrap=True, highlight=False)
    asyncio.run(_Pairing(places, target, console).run(accept=yes))


def _refuse_both(ssh: str | None, identity: Path | None, python: str | None) -> None:
    if ssh is not None or identity is not None or python is not None:
        raise ConfigError(
            "--dials-in goes with --key only: a PC that dials in is not dialled, and has "
            "installed relay-kernel itself"
        )


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
        raise ConfigError(
            f"say where {name} is: relay add {name} --ssh me@host:port, or --dials-in"
        )
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
        from relay_kernel.cli.hostkey import accept_host_key
        from relay_kernel.link.probe import probe
        from relay_kernel.link.ssh import connect
        from relay_kernel.settings.edit import add_target

        target = self._target
        await accept_host_key(target, self._places, self._show, accept=accept)
        conn = await connect(target, self._places)
        try:
            around = await probe(conn, everything=True)
            self._describe(around)
            installed = await self._install(conn, around)
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

    async def _install(self, conn: Connection, around: Surroundings) -> Installed:
        from relay_kernel.cli.progress import Bars
        from relay_kernel.link.install import install_agent

        with Bars() as bars:
            what = f"sending the agent to {self._target.name}"
            return await install_agent(
                conn,
                around,
                show=self._step,
                progress=lambda done, total: bars.show(what, done, total),
            )

    def _describe(self, around: Surroundings) -> None:
        pythons = ", ".join(f"{path} ({v[0]}.{v[1]})" for v, path in around.pythons) or "none"
        self._step(f"logged in: {around.host}, {around.system}")
        self._step(f"Python there: {pythons}")

    def _step(self, text: str) -> None:
        self._show(f"  {text}")

    def _show(self, line: str) -> None:
        from rich.markup import escape

        self._console.print(escape(line))
