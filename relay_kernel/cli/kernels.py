"""``relay kernels``: the environments of the kernels here, and what mirrors them at the targets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay_kernel.cli.completing import complete_kernel
from relay_kernel.core.errors import RelayError
from relay_kernel.hub.env_board import read_envs
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from relay_kernel.cli.progress import Bars
    from relay_kernel.settings.paths import Places

#: Seconds for `relay kernels sync`: large packages over a slow line.
PATIENCE = 3600.0
#: Seconds between two looks at how far it is.
LOOK = 0.25


def kernels(
    do: Annotated[
        str,
        typer.Argument(
            metavar="sync", help="sync: mirror it now.", autocompletion=lambda: ["sync"]
        ),
    ] = "",
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The kernel; all without.", autocompletion=complete_kernel
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """Show which kernels have their environment at which target, and how it differs."""
    if do not in {"", "sync"}:
        raise RelayError(
            f"relay kernels cannot {do}: use relay kernels, or relay kernels sync NAME"
        )
    places = find_places()
    answer = asyncio.run(_sync(places.make(), name)) if do else {"envs": read_envs(places)}
    report, results = answer["envs"], answer.get("results", {})
    if as_json:
        print(json.dumps({"envs": report, **({"results": results} if do else {})}, indent=2))
    else:
        _show(report)
        for kernel, targets in results.items():
            for target, wrong in targets.items():
                if wrong:
                    print(f"{kernel} at {target}: {wrong}")
    return 1 if any(wrong for each in results.values() for wrong in each.values()) else 0


async def _sync(places: Places, name: str) -> dict[str, Any]:
    from relay_kernel.cli.progress import Bars
    from relay_kernel.hub.files_client import ask_plane

    wish = {"plane": "envs", "do": "sync", "name": name, "seconds": PATIENCE}
    asked = asyncio.create_task(ask_plane(places, wish))
    with Bars() as bars:
        while not asked.done():
            await asyncio.wait({asked}, timeout=LOOK)
            _show_steps(bars, read_envs(places))
    return await asked


def _show_steps(bars: Bars, report: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Show what is being done now."""
    steps = {
        f"{kernel} at {target}: {state['step']}": state
        for kernel, targets in report.items()
        for target, state in targets.items()
        if state["step"]
    }
    bars.keep(*steps)
    for what, state in steps.items():
        bars.show(what, state["done"], state["total"])


def _sizes(state: dict[str, Any]) -> str:
    from rich.filesize import decimal

    if not state["total"]:
        return ""
    return f" ({decimal(state['done'])} of {decimal(state['total'])})"


def _show(report: dict[str, dict[str, dict[str, Any]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("kernel", "target", "environment", "drift", box=None)
    for kernel, targets in report.items():
        for target, state in targets.items():
            notes = [state["why"], state["step"] + _sizes(state), *state["drift"][:3]]
            if len(state["drift"]) > 3:
                notes.append(f"and {len(state['drift']) - 3} more")
            table.add_row(kernel, target, state["phase"], "; ".join(filter(None, notes)))
    Console().print(table if report else "no kernel is mirrored yet")
