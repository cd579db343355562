"""Pairs with a PC over SSH, step by step, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay_kernel import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.link.install import Installed
    from relay_kernel.link.probe import Surroundings
    from relay_kernel.link.ssh import Connection
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places


class Pairing:
    """One run of ``relay add``, step by step, in plain words."""

    def __init__(
        self, places: Places, target: TargetConfig, show: Callable[[str], None], *, may_ask: bool
    ) -> None:
        """Prepare it.

        Args:
            places: Of this user.
            target: What is paired with.
            show: Called with each line to be shown.
            may_ask: Ask about the host key where somebody is there to answer.
        """
        self._places = places
        self._target = target
        self._show = show
        self._may_ask = may_ask

    async def run(self, *, accept: bool) -> dict[str, Any]:
        """All of it. ``config.toml`` is written last, once everything worked.

        Args:
            accept: Take the host key as it is shown, without asking.

        Returns:
            What was found and done, for programs: as ``relay add --json`` shows it.

        Raises:
            RelayError: One line that says what to do.
        """
        from relay_kernel.cli.hostkey import accept_host_key
        from relay_kernel.link.probe import probe
        from relay_kernel.link.ssh import connect
        from relay_kernel.settings.edit import add_target

        target = self._target
        self._announce()
        host_key = await accept_host_key(
            target, self._places, self._show, accept=accept, may_ask=self._may_ask
        )
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
        self._show(f"{target.name} is ready: cells run there whenever it is on.")
        return self._facts(host_key, around, installed)

    def _facts(
        self, host_key: dict[str, Any], around: Surroundings, installed: Installed
    ) -> dict[str, Any]:
        identity = self._target.identity
        return {
            "ssh": self._target.ssh,
            "identity": str(identity) if identity else None,
            "host_key": host_key,
            "host": around.host,
            "system": around.system,
            "agent": {
                "version": __version__,
                "python": installed.python,
                "fresh": installed.fresh,
            },
            "next": [],
        }

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
