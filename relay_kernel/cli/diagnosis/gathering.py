"""Gathers the facts about a target and about this server; judges nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from relay_kernel import __version__
from relay_kernel.cli.diagnosis.road import AgentFound, Dial, Tunnel
from relay_kernel.cli.diagnosis.server import ConfigFacts, JupyterFacts
from relay_kernel.core.errors import RelayError
from relay_kernel.link.errors import DialError, DialStep, MissingAgentError
from relay_kernel.settings.address import parse_address
from relay_kernel.settings.config import Config, ConfigError, load_config

if TYPE_CHECKING:
    from relay_kernel.link.ssh import Connection
    from relay_kernel.link.survey import Machine
    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places

#: Seconds for the file plane to say how it stands.
PLANE_TIMEOUT = 10.0

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def read_config(places: Places) -> tuple[Config, ConfigFacts]:
    """The configuration, and what is wrong with it."""
    try:
        config = load_config(places.config)
    except ConfigError as error:
        return Config(), ConfigFacts(str(places.config), wrong=str(error))
    names = tuple(target.name for target in config.targets)
    return config, ConfigFacts(str(places.config), names)


def look_at_jupyter() -> JupyterFacts:
    """What Jupyter finds in this environment."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_core.paths import jupyter_config_path

    manager = KernelSpecManager()
    folder = manager.find_kernel_specs().get("relay", "")
    program = ""
    if folder:
        first = Path(manager.get_kernel_spec("relay").argv[0])
        program = str(first) if first.is_absolute() and not first.exists() else ""
    searched = tuple(jupyter_config_path())
    return JupyterFacts(
        folder, program, find_spec("jupyter_server") is not None, _enabled(searched), searched
    )


def _enabled(folders: tuple[str, ...]) -> bool | None:
    """Whether the settings of Jupyter Server enable our extension; the first that says so holds."""
    for folder in map(Path, folders):
        own = sorted((folder / "jupyter_server_config.d").glob("*.json"), reverse=True)
        for path in [folder / "jupyter_server_config.json", *own]:
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                said = content["ServerApp"]["jpserver_extensions"]["relay_kernel"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            return bool(said)
    return None


@dataclass(frozen=True)
class PcFacts:
    """What was found on the way to a PC, and there."""

    dial: Dial | None = None
    """``None`` for one that dials in."""
    agent: AgentFound | None = None
    """``None`` where it was not come to."""
    hub_error: str = ""
    """Why the PC could not be asked through the hub, in one line."""
    hub_seconds: float | None = None
    """For the way through the hub; ``None``: it was not tried."""
    machine: Machine | None = None
    """``None`` where nothing there could be asked."""
    machine_error: str = ""


async def visit(places: Places, target: TargetConfig, patience: float = 0.0) -> PcFacts:
    """Dial a PC, look around, and ask what it is like: over the link, else over plain SSH.

    Args:
        places: Of this user; the folders exist.
        target: The PC.
        patience: Seconds to wait for one that dials in and is not there.
    """
    if target.dials_in:
        return await _through_hub(places, PcFacts(), target.name, patience)
    from relay_kernel.link.ssh import connect

    began = time.monotonic()
    ssh = str(target.ssh)
    try:
        conn = await connect(target, places)
    except DialError as error:
        step = error.step or DialStep.PORT
        seconds = time.monotonic() - began
        return PcFacts(Dial(target.name, ssh, seconds, step, error.reason))
    try:
        return await _look_around(places, conn, began)
    finally:
        conn.abort()


async def _look_around(places: Places, conn: Connection, began: float) -> PcFacts:
    from relay_kernel.link.probe import agent_python, probe
    from relay_kernel.link.survey import survey

    name, ssh = conn.target.name, str(conn.target.ssh)
    try:
        around = await probe(conn, everything=True)
    except DialError as error:
        seconds = time.monotonic() - began
        return PcFacts(Dial(name, ssh, seconds, DialStep.SHELL, error.reason))
    dial = Dial(name, ssh, time.monotonic() - began)
    try:
        agent_python(conn, around)
        found = PcFacts(dial, AgentFound(name, __version__, __version__))
        return await _through_hub(places, found, name)
    except MissingAgentError:
        there = sorted(around.installed)[-1:] or [""]
        agent = AgentFound(name, __version__, there[0])
    except DialError as error:
        own = conn.target.python or ""
        agent = AgentFound(name, __version__, wrong=error.reason, python=own)
    if not around.pythons:
        return PcFacts(dial, agent, machine_error="there is no Python to ask")
    try:
        return PcFacts(dial, agent, machine=await survey(conn, around.pythons[0][1]))
    except DialError as error:
        return PcFacts(dial, agent, machine_error=error.reason)


async def _through_hub(places: Places, known: PcFacts, name: str, patience: float = 0.0) -> PcFacts:
    from relay_kernel.hub.facts import ask_facts

    began = time.monotonic()
    try:
        machine = await ask_facts(places, name, patience)
    except RelayError as error:
        seconds, line = time.monotonic() - began, str(error)
        return replace(known, hub_error=line, hub_seconds=seconds, machine_error=line)
    return replace(known, hub_seconds=time.monotonic() - began, machine=machine)


def find_tunnel(target: TargetConfig, server: Machine) -> Tunnel | None:
    """The reverse tunnel that ``target`` is reached by, if its address is this machine's own.

    A port that another user's process holds is taken for one: nothing else that listens on
    loopback leads to a PC.
    """
    try:
        address = parse_address(target.ssh or "")
    except ValueError:
        return None
    if address.host not in _LOOPBACK or address.port in {None, 22}:
        return None
    listeners = _listeners(address.port)
    if listeners and not any(_is_session(each) for each in listeners):
        return None
    plain = not any(each.children() for each in listeners) if listeners else None
    return Tunnel(address.port, plain, server.sshd)


def _listeners(port: int) -> list[psutil.Process]:
    """The processes that listen at a port, as far as this user may see them."""
    with contextlib.suppress(psutil.Error):
        return [
            psutil.Process(found.pid)
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr[1:] == (port,) and found.pid
        ]
    return []


def _is_session(process: psutil.Process) -> bool:
    """Whether it serves one SSH connection: sshd gives such a process the name of its user."""
    with contextlib.suppress(psutil.Error):
        line = " ".join(process.cmdline())
        return line.startswith(("sshd: ", "sshd-session: ")) and "[listener]" not in line
    return False


async def ask_files(places: Places) -> dict[str, Any] | None:
    """How the files stand; ``None`` where the plane does not run or does not answer."""
    from relay_kernel.hub.files_client import ask_plane

    try:
        async with asyncio.timeout(PLANE_TIMEOUT):
            return await ask_plane(places, {"do": "status"}, start=False)
    except (RelayError, TimeoutError):
        return None


def may_join(name: str) -> bool:
    """Whether a key is let in here for a PC that dials in as ``name``."""
    from relay_kernel.cli.let_in import authorized_keys

    try:
        text = authorized_keys().read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(f'gateway {name}"' in line for line in text.splitlines())
