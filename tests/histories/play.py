"""Plays a script in a notebook, and says what a person saw of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from tests.e2e.rig import Notebook, Result

#: Seconds for one burst, losses and returns included.
PATIENCE = 90.0

_NOTICE = re.compile(r"^\[relay\] .*\n", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Seen:
    """What stands under a cell in the end."""

    status: str
    count: int | None
    stdout: str
    stderr: str
    others: tuple[str, ...]

    @classmethod
    def of(cls, result: Result) -> Seen:
        """Without notices, and without what differs from run to run by nature."""
        content = result.reply["content"]
        others: dict[Any, str] = {}
        for at, message in enumerate(result.messages):
            _show(others, at, message)
        return cls(
            content["status"],
            content.get("execution_count"),
            result.text(),
            _NOTICE.sub("", result.text("stderr")),
            tuple(others.values()),
        )


def _show(others: dict[Any, str], at: int, message: dict[str, Any]) -> None:
    """Add a message to what is shown; an update takes the place of its display."""
    kind, content = message["msg_type"], message["content"]
    if kind in {"display_data", "execute_result", "update_display_data"}:
        name = content.get("transient", {}).get("display_id")
        if kind == "update_display_data":
            assert name in others, "an update of a display that nobody has seen"
        others[name or at] = content["data"]["text/plain"]
    elif kind == "error":
        others[at] = f"{content['ename']}: {_COLOUR.sub('', content['evalue'])}"


async def play(
    notebook: Notebook,
    bursts: list[list[str]],
    tally: Counter[str] | None = None,
    think: Callable[[], float] = lambda: 0.0,
) -> list[Seen]:
    """Send burst after burst, each when the one before has ended.

    ``tally`` counts the cells by the target that ran them, and those that ran again. ``think``
    gives the seconds for which a person looks at what came: so that not everything happens at once.
    """
    seen = []
    for burst in bursts:
        await asyncio.sleep(think())
        cells = [notebook.send(code) for code in burst]
        results = [await cell.end(PATIENCE) for cell in cells]
        seen += [Seen.of(result) for result in results]
        if tally is not None:
            tally.update(f"on {result.target}" for result in results)
            tally.update("lost" for result in results if "was lost" in result.notices)
        # For a moment after an error, an ipykernel aborts what it gets. That moment is over when it
        # takes the next request. (Not kernel_info: its banner draws from the user's ``random``.)
        try:
            await notebook.ask("comm_info_request", {})
        except TimeoutError:
            raise AssertionError(f"comm_info was not answered behind cell {len(seen)}") from None
    return seen
