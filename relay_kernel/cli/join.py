"""``relay join me@server``: on a PC that dials in. Keeps it joined to the server."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import IO, TYPE_CHECKING, Annotated

import typer

from relay_kernel.cli.asking import ask_server, is_interactive
from relay_kernel.core.errors import RelayError
from relay_kernel.settings.config import ConfigError, TargetConfig, check_name
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from relay_kernel.agent.join import Joining
    from relay_kernel.settings.paths import Places


def join(
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="SERVER",
            help="Where it is: me@host, me@host:port or an alias of ssh_config. Without, you are "
            "asked.",
        ),
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A private key for this alone.", show_default="one made for it"
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What this PC is called on the server.")] = "pc",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the host key shown.")] = False,
    service: Annotated[
        bool, typer.Option("--service", help="Install it as a systemd unit, and return.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs, an object a line; nothing is asked.")
    ] = False,
) -> None:
    """Join this PC to a server that cannot reach it: dial in, and stay."""
    places = find_places().make()
    if server is None:
        server, service = _ask(service=service, may_ask=not as_json)
    target = _server(places, server, identity, name)
    visit = _Visit(places, target, name, as_json=as_json)
    if service:
        asyncio.run(visit.pair(accept=yes))
        visit.install()
        return
    from relay_kernel.link.loop import run

    with _lock(places, target):
        run(visit.run(accept=yes))


def _ask(*, service: bool, may_ask: bool) -> tuple[str, bool]:
    """Where the server is, and whether systemd shall start this.

    Raises:
        ConfigError: Nobody is there to be asked.
    """
    if not may_ask or not is_interactive():
        raise ConfigError("say where the server is: relay join me@server")
    server = ask_server()
    return server, service or typer.confirm(
        "Shall systemd start this from every boot on?", default=True
    )


def _server(places: Places, server: str, identity: Path | None, name: str) -> TargetConfig:
    """The server as a thing to be dialled.

    Raises:
        ConfigError: The command line is wrong.
    """
    from relay_kernel.settings.address import parse_address

    wrong = check_name(name)
    if wrong:
        raise ConfigError(f"--name: {name!r} {wrong}")
    try:
        address = parse_address(server)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if identity is not None and not identity.expanduser().is_file():
        raise ConfigError(f"--identity: the file {identity} does not exist")
    own = identity.expanduser().absolute() if identity else places.state / "join_ed25519"
    alias = "-".join(("server", address.host, *([str(address.port)] if address.port else [])))
    return TargetConfig(alias, ssh=server, identity=own)


def _lock(places: Places, target: TargetConfig) -> IO[bytes]:
    import fcntl
    import hashlib

    digest = hashlib.blake2b(target.name.encode(), digest_size=6).hexdigest()
    file = (places.run / f"join-{digest}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RelayError(f"relay join {target.ssh} runs here already") from error
    return file


class _Visit:
    """One run of ``relay join``: the key, the host key, then the line for as long as it is."""

    def __init__(self, places: Places, server: TargetConfig, name: str, *, as_json: bool) -> None:
        self._places = places
        self._server = server
        self._name = name
        self._as_json = as_json

    async def pair(self, *, accept: bool) -> str:
        """Make the key, have the host key accepted; return what is to be run on the server.

        Args:
            accept: Take the host key as it is shown, without asking.

        Raises:
            RelayError: One line that says what to do.
        """
        from relay_kernel.cli.hostkey import accept_host_key
        from relay_kernel.link.pins import read_pins

        key = self._key()
        pairing = f"relay add {self._name} --dials-in --key '{key}'"
        host_key = None
        # A service goes by the pin that stands, also while the server is away.
        may_ask = not self._as_json
        asks = may_ask and sys.stdin.isatty()
        if accept or asks or not read_pins(self._places, self._server.name):
            host_key = await accept_host_key(
                self._server, self._places, self._say, accept=accept, may_ask=may_ask
            )
        self._say(f"if the server does not know this PC yet, run there:\n  {pairing}")
        self._tell(
            "prepared",
            server=self._server.ssh,
            name=self._name,
            identity=str(self._server.identity),
            public_key=key,
            host_key=host_key,
            next=[{"where": "server", "run": pairing}],
        )
        return pairing

    def install(self) -> None:
        """Have systemd run this from now on."""
        from relay_kernel.cli.service import install, make_unit

        arguments = ["join", str(self._server.ssh), "--name", self._name]
        arguments += ["--identity", str(self._server.identity)]
        description = f"relay-kernel: joins this PC to {self._server.ssh}"
        unit = make_unit("relay-join", description, arguments, self._places)
        self._tell("installed", **install(unit, self._say))

    async def run(self, *, accept: bool) -> None:
        """All of it, until SIGTERM or SIGINT.

        Args:
            accept: Take the host key as it is shown, without asking.

        Raises:
            RelayError: One line that says what to do.
        """
        from relay_kernel.agent.departure import Departure, watch_sleep
        from relay_kernel.agent.join import Joining

        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
        pairing = await self.pair(accept=accept)
        joining = Joining(self._server, self._places, self._changed, pairing)
        departure = Departure(joining.leave, joining.redial)
        departure.start()
        wake = asyncio.ensure_future(watch_sleep(joining.redial))
        try:
            self._end_on_signals(joining)
            await joining.run()
        finally:
            wake.cancel()
            departure.stop()

    @staticmethod
    def _end_on_signals(joining: Joining) -> None:
        loop = asyncio.get_running_loop()
        ending: set[asyncio.Task[None]] = set()

        def end() -> None:
            ending.add(loop.create_task(joining.stop("relay join was stopped")))

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)

    def _key(self) -> str:
        """The public half of the key that this PC logs in with; makes one where there is none."""
        from relay_kernel.link.keys import make_key, read_public_half

        path = self._server.identity
        assert path is not None
        try:
            half = read_public_half(path) if path.exists() else make_key(path)
        except (OSError, ValueError) as error:
            raise RelayError(f"{path} is no private key: {error}") from error
        return f"{half.kind} {half.blob}"

    def _changed(self, line: str, *, joined: bool) -> None:
        self._say(line)
        self._tell("joined" if joined else "waiting", text=line)

    def _say(self, line: str) -> None:
        """Show a line to a person."""
        if not self._as_json:
            print(line, flush=True)

    def _tell(self, event: str, **facts: object) -> None:
        """Give a program an object."""
        if self._as_json:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            print(json.dumps({"at": at, "event": event, **facts}), flush=True)
