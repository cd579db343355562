"""``relay demo``: a PC, a pulled plug and a notebook that goes on, all on this machine."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Coroutine

#: What the demo needs beyond relay-kernel itself: package -> the extra that brings it.
_NEEDS = {"numpy": "demo"}
_LAB_NEEDS = {**_NEEDS, "jupyterlab": "lab"}

#: Exit status after Ctrl-C, as a shell has it.
_STOPPED = 130


def demo(
    lab: Annotated[
        bool, typer.Option("--lab", help="Open it in JupyterLab, to pull the plug yourself.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep its temporary folder, with all logs.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: only how it ended.")
    ] = False,
) -> int:
    """Show it on this machine: a notebook loses its PC, goes on here, and gets the PC back."""
    if lab and as_json:
        raise ConfigError("--lab goes without --json: a person pulls the plug")
    _check_needs(_LAB_NEEDS if lab else _NEEDS)
    from rich.console import Console

    from relay_kernel.cli.demonstration.lab import Lab
    from relay_kernel.cli.demonstration.screen import Screen
    from relay_kernel.cli.demonstration.show import Show
    from relay_kernel.cli.demonstration.stage import Stage

    screen = Screen(Console(quiet=True) if as_json else None)
    try:
        with Stage.open(keep=keep) as stage:
            if keep:
                screen.note(f"Its folder, which stays: {stage.root}")
            if lab:
                return 0 if asyncio.run(_stoppable(Lab(stage, screen).run())) else 1
            show = Show(stage, screen)
            equal = asyncio.run(_stoppable(show.run()))
            if as_json:
                folder = str(stage.root) if keep else None
                print(json.dumps({**show.as_json(), "folder": folder}, indent=2))
            return 0 if equal else 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        screen.say("Stopped. Everything that was started is ended.")
        return _STOPPED


def _check_needs(needs: dict[str, str]) -> None:
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        extras = ",".join(needs[name] for name in missing)
        names = " and ".join(missing)
        raise RelayError(f'the demo needs {names}: pip install "relay-kernel[{extras}]"')


async def _stoppable(run: Coroutine[None, None, bool]) -> bool:
    """Run ``run``; end it in good order at SIGTERM and SIGHUP too, as at Ctrl-C."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    return await run
