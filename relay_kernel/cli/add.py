"""``relay add NAME``: pair with a PC, and put the agent on it; or let one in that dials in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay_kernel.cli.asking import Wish, ask, is_interactive
from relay_kernel.cli.completing import complete_target
from relay_kernel.core.model import LOCAL
from relay_kernel.settings.config import ConfigError, TargetConfig, check_name, load_config
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

#: Seconds for a PC that was just let in to dial in: it tries every 10 s.
JOIN_TIMEOUT = 45.0


def add(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="What the PC is called here: pc, desk, lab-2. Without, you are asked everything.",
            autocompletion=complete_target,
        ),
    ] = None,
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
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="End with what relay doctor finds of it.",
            show_default="at a terminal",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs; nothing is asked, check only if told to.")
    ] = False,
) -> int:
    """Pair with a PC: pin its host key, log in, install the agent, write config.toml, check it."""
    places = find_places().make()
    wish = Wish(name, ssh, identity, python, dials_in or key is not None, key)
    known = load_config(places.config).target(name) if name else None
    if is_interactive() and not as_json and known is None and not wish.is_complete:
        wish = ask(wish)
    if wish.name is None:
        raise ConfigError("say what the PC is called here: relay add NAME --ssh me@host:port")
    if wish.dials_in:
        facts = _let_in(places, wish, accept=yes, may_ask=not as_json)
    else:
        pairing = _pair(places, _target(places, wish), accept=yes, may_ask=not as_json)
        facts = asyncio.run(pairing)
    if check is None:
        check = is_interactive() and not as_json
    # A PC that was not let in cannot be there.
    may_come = not wish.dials_in or bool((facts["authorized_keys"] or {}).get("written"))
    status, found = 0, None
    if check and may_come:
        status, found = _check(places, wish, quiet=as_json)
    elif may_come:
        facts["next"].append({"where": LOCAL, "run": f"relay doctor {wish.name}"})
    if as_json:
        whole = {"target": wish.name, "dials_in": wish.dials_in, "config": str(places.config)}
        print(json.dumps({**whole, **facts, "doctor": found}, indent=2))
    return status


def _let_in(places: Places, wish: Wish, *, accept: bool, may_ask: bool) -> dict[str, Any]:
    """Let a PC in that dials in; what was done."""
    from relay_kernel.cli.asking import ask_key
    from relay_kernel.cli.let_in import let_in

    if wish.ssh is not None or wish.identity is not None or wish.python is not None:
        raise ConfigError(
            "--dials-in goes with --key only: a PC that dials in is not dialled, and has "
            "installed relay-kernel itself"
        )
    assert wish.name is not None
    show = print if may_ask else _nothing
    facts = let_in(places, wish.name, wish.key, show, accept=accept, may_ask=may_ask)
    if wish.key is None and may_ask and is_interactive():
        key = ask_key()
        if key:
            return let_in(places, wish.name, key, show, accept=accept)
    return facts


async def _pair(
    places: Places, target: TargetConfig, *, accept: bool, may_ask: bool
) -> dict[str, Any]:
    from rich.console import Console
    from rich.markup import escape

    from relay_kernel.cli.pairing import Pairing

    console = Console(soft_wrap=True, highlight=False, quiet=not may_ask)
    pairing = Pairing(places, target, lambda line: console.print(escape(line)), may_ask=may_ask)
    return await pairing.run(accept=accept)


def _check(places: Places, wish: Wish, *, quiet: bool) -> tuple[int, dict[str, Any]]:
    """What the doctor finds: an exit status, and all of it."""
    from rich.console import Console

    from relay_kernel.cli.diagnosis.finding import Outcome
    from relay_kernel.cli.diagnosis.screen import as_json, summary, worst
    from relay_kernel.cli.doctor import examine

    console = Console(soft_wrap=True, highlight=False, quiet=quiet)
    patience = JOIN_TIMEOUT if wish.dials_in else 0.0
    examination = examine(places, console, wish.name or "", server=False, patience=patience)
    report = asyncio.run(examination)
    console.print(summary(report))
    return (1 if worst(report) is Outcome.FAULT else 0), as_json(report)


def _nothing(_: str) -> None:
    """Show nothing: a program reads."""


def _target(places: Places, wish: Wish) -> TargetConfig:
    """What was asked for; what was left out stays as it is configured.

    Raises:
        ConfigError: It is wrong, or ``config.toml`` is.
    """
    name, ssh, identity = wish.name or "", wish.ssh, wish.identity
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
        python=wish.python or known.python,
    )
    try:
        parse_address(target.ssh or "")
    except ValueError as error:
        raise ConfigError(f"--ssh: {error}") from error
    if target.identity is not None and not target.identity.is_file():
        raise ConfigError(f"--identity: the file {target.identity} does not exist")
    return target
