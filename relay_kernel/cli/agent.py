"""``relay agent``: the process on the PC that owns the kernels there. Started over SSH."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from relay_kernel import __version__
from relay_kernel.settings.paths import find_places


def agent(
    attach: Annotated[
        bool, typer.Option("--attach", help="Join this command's input and output to the agent.")
    ] = False,
    files: Annotated[
        bool, typer.Option("--files", hidden=True, help="Be the file plane's end, on these.")
    ] = False,
    envs: Annotated[
        bool, typer.Option("--envs", hidden=True, help="Be the environment plane's end, likewise.")
    ] = False,
    facts: Annotated[
        bool, typer.Option("--facts", hidden=True, help="Say what this machine is like.")
    ] = False,
    logs: Annotated[
        bool, typer.Option("--logs", hidden=True, help="Say what the logs here say.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> int:
    """Own the kernels of a PC. Started by the server over SSH when it is needed."""
    if version:
        print(__version__)
        return 0
    if attach:
        from relay_kernel.agent.attach import attach as join

        return join(find_places())
    if files:
        from relay_kernel.agent.files import run_files

        return run_files(find_places())
    if envs:
        from relay_kernel.agent.envs import run_envs

        return run_envs(find_places())
    if facts:
        from relay_kernel.link.machine import describe

        print(json.dumps(describe()), flush=True)
        return 0
    if logs:
        from relay_kernel.agent.logs import run_logs

        return run_logs(find_places())
    from relay_kernel.agent.server import run_agent

    return run_agent(find_places())
