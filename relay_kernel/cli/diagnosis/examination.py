"""The doctor's round: the server first, then each PC, from the road to a cell there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.cli.diagnosis import machine as on_machine
from relay_kernel.cli.diagnosis.cell import judge_cell, send_cell
from relay_kernel.cli.diagnosis.finding import Finding, Outcome, fault, ok, skipped
from relay_kernel.cli.diagnosis.gathering import (
    ask_files,
    find_tunnel,
    look_at_jupyter,
    may_join,
    read_config,
    visit,
)
from relay_kernel.cli.diagnosis.planes import judge_envs, judge_files
from relay_kernel.cli.diagnosis.road import (
    judge_agent,
    judge_dial,
    judge_join,
    judge_login,
    judge_sshd,
    judge_tunnel,
)
from relay_kernel.cli.diagnosis.server import judge_config, judge_extension, judge_kernelspec
from relay_kernel.hub.env_board import read_envs
from relay_kernel.link.survey import survey_here
from relay_kernel.settings.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from relay_kernel.cli.diagnosis.gathering import PcFacts
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places

#: Where the server's own findings stand.
SERVER = "server"


class Examination:
    """One round.

    Args:
        places: Of this user; the folders exist.
        step: Called with what is being looked at, in a few words.
        patience: Seconds to wait for a target that dials in and is not there.
    """

    def __init__(
        self, places: Places, step: Callable[[str], None], *, patience: float = 0.0
    ) -> None:
        self._places = places
        self._step = step
        self._patience = patience
        self._config, self._config_facts = read_config(places)

    async def run(self, name: str = "") -> AsyncIterator[tuple[str, list[Finding]]]:
        """Each place with its findings, as soon as they are known.

        Args:
            name: One target alone, beside the server; empty: all.

        Raises:
            ConfigError: There is no such target.
        """
        targets = [target for target in self._config.targets if name in {"", target.name}]
        if name and not targets and not self._config_facts.wrong:
            known = ", ".join(self._config_facts.targets) or "none"
            raise ConfigError(f"{self._places.config} has no target {name}; it has: {known}")
        self._step("looking at this server")
        self._server = survey_here()
        yield SERVER, self._examine_server()
        for target in targets:
            yield target.name, await self._examine(target)

    def _examine_server(self) -> list[Finding]:
        server, jupyter = self._server, look_at_jupyter()
        return [
            judge_config(self._config_facts),
            on_machine.judge_python(server),
            on_machine.judge_ipykernel(server, on_machine.IPYKERNEL_HERE),
            judge_kernelspec(jupyter, server.executable),
            judge_extension(jupyter),
            *on_machine.judge_machine(server),
        ]

    async def _examine(self, target: TargetConfig) -> list[Finding]:
        name = target.name
        self._step(f"reaching {name}")
        pc = await visit(self._places, target, self._patience)
        found = self._judge_road(target, pc)
        found += self._judge_pc(target, pc)
        found.append(await self._judge_cell(name, found, pc))
        self._step(f"looking at the files and environments of {name}")
        found += judge_files(await ask_files(self._places), name)
        if target.python is None:
            found += judge_envs(read_envs(self._places), name)
        else:
            found.append(skipped("environments", "config.toml names a python: none is mirrored"))
        return found

    def _judge_road(self, target: TargetConfig, pc: PcFacts) -> list[Finding]:
        found = []
        if pc.dial is not None:
            found += judge_dial(pc.dial)
            tunnel = find_tunnel(target, self._server)
            found += judge_tunnel(tunnel, pc.dial.failed) if tunnel else []
        if pc.agent is not None:
            found.append(judge_agent(pc.agent))
        if pc.hub_seconds is not None:
            found.append(self._judge_hub(target, pc))
        return found

    @staticmethod
    def _judge_hub(target: TargetConfig, pc: PcFacts) -> Finding:
        if not pc.hub_error:
            return ok("link through the hub", f"answered after {pc.hub_seconds:.1f} s")
        mend = "relay logs --only hub says more"
        if target.dials_in:
            known = may_join(target.name)
            mend = f"on the PC: relay join me@server --name {target.name}"
            mend = mend if known else f"{mend}, then here the line that it shows"
        return fault("link through the hub", pc.hub_error, mend)

    def _judge_pc(self, target: TargetConfig, pc: PcFacts) -> list[Finding]:
        machine = pc.machine
        if machine is None:
            return [skipped("the PC itself", pc.machine_error or "it was not reached")]
        own = target.python is not None
        found = [
            on_machine.judge_python(machine),
            on_machine.judge_same_python(self._server, machine, own=own),
            on_machine.judge_clock(machine),
            on_machine.judge_goodbye(machine),
            *on_machine.judge_machine(machine),
        ]
        if own:
            found.append(on_machine.judge_ipykernel(machine, on_machine.IPYKERNEL_THERE))
        if target.dials_in:
            found += judge_sshd(self._server.sshd, "the server")
            found.append(judge_join(machine.join_unit, machine.linger))
        else:
            found += judge_sshd(machine.sshd, "the PC")
            found.append(judge_login(machine.ends_with_login))
        return found

    async def _judge_cell(self, name: str, found: list[Finding], pc: PcFacts) -> Finding:
        broken = [each for each in found if each.outcome is Outcome.FAULT]
        if broken:
            return skipped("a cell there and back", f"a check before it failed: {broken[0].name}")
        if pc.agent is not None and not pc.agent.is_current:
            return skipped("a cell there and back", "the agent has to be brought over first")
        self._step(f"running a cell on {name}")
        return judge_cell(await send_cell(self._places, name))
