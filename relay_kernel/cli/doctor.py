"""``relay doctor``: looks at every part, end to end, and says how each is mended."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from relay_kernel.cli.completing import complete_target
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from rich.console import Console

    from relay_kernel.cli.diagnosis.finding import Finding
    from relay_kernel.settings.paths import Places


def doctor(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="One PC; all without.", autocompletion=complete_target
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """Check every part, on both machines, and say how to mend each; ends with a real cell."""
    from rich.console import Console

    from relay_kernel.cli.diagnosis import screen
    from relay_kernel.cli.diagnosis.finding import Outcome

    places = find_places().make()
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    report = asyncio.run(examine(places, console, target))
    if as_json:
        print(json.dumps(screen.as_json(report), indent=2))
    else:
        console.print(screen.summary(report))
    return 1 if screen.worst(report) is Outcome.FAULT else 0


async def examine(
    places: Places,
    console: Console,
    target: str = "",
    *,
    server: bool = True,
    patience: float = 0.0,
) -> dict[str, list[Finding]]:
    """Examine all, showing each place as soon as it is known.

    Args:
        places: Of this user; the folders exist.
        console: To show it on.
        target: One alone; empty: all.
        server: Whether the server itself is shown, too.
        patience: Seconds to wait for a target that dials in and is not there.

    Raises:
        ConfigError: There is no such target.
    """
    from relay_kernel.cli.diagnosis import screen
    from relay_kernel.cli.diagnosis.examination import SERVER, Examination

    report = {}
    with console.status("beginning") as spinner:
        examination = Examination(places, spinner.update, patience=patience)
        async for where, findings in examination.run(target):
            if where == SERVER and not server:
                continue
            report[where] = findings
            console.print(where, style="bold")
            console.print(screen.as_text(findings))
    return report
