"""Pairs with a PC over SSH, step by step, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from relay_kernel.link.install import Installed
    from relay_kernel.link.probe import Surroundings
    from relay_kernel.link.ssh import Connection
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places


class Pairing:
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
        self._announce()
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

    def _announce(self) -> None:
        """Say what will be done, before anything is."""
        name, ssh = self._target.name, self._target.ssh
        key = self._target.identity or "your key"
        agent = "install the agent there, in an environment of its own"
        if self._target.python is not None:
            agent = f"check that {self._target.python} there has relay-kernel"
        self._show(f"This is done to pair with {name}; nothing else changes, here or there:")
        self._step(f"1. ask {ssh} for its host key, and pin it once you accept it")
        self._step(f"2. log in with {key}, and {agent}")
        self._step(f"3. write [targets.{name}] to {self._places.config}")

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
