"""An error, with cells behind it for two machines that are 200 ms apart."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from tests.net.lab import Lab
from tests.net.notebook import apart, over

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(200)]

#: Seconds one way.
DELAY = 0.1


async def behind_an_error(*, stops: bool) -> tuple[list[str], list[int], list[str]]:
    """What became of three cells and a completion; how often each showed its input; two names."""
    with tempfile.TemporaryDirectory(prefix="far-") as folder, Lab() as lab:
        lab.line.delay = DELAY
        async with over(lab, Path(folder)) as (notebook, _):
            await notebook.run("x = y = 0")
            codes = ("1/0", "x = 1", "%%relay local\ny = 1")
            cells = [notebook.send(code, stop_on_error=stops) for code in codes]
            question = {"code": "pri", "cursor_pos": 3}
            completion = await notebook.ask("complete_request", question)
            results = [await cell.end() for cell in cells]
            found = [(await notebook.run(f"%%relay {at}\nx, y")).value for at in ("pc", "local")]
            statuses = [result.status for result in results] + [completion["content"]["status"]]
            shown = [
                sum(message["msg_type"] == "execute_input" for message in result.messages)
                for result in results
            ]
            return statuses, shown, found


def run(stops: bool) -> tuple[list[str], list[int], list[str]]:
    return asyncio.run(behind_an_error(stops=stops))


def test_what_was_sent_behind_an_error_is_aborted_at_once_and_nowhere_run() -> None:
    statuses, shown, found = apart(run, True)
    assert statuses == ["error", "aborted", "aborted", "ok"]
    assert shown == [1, 0, 0]
    assert found == ["(0, 0)", "(0, 0)"]


def test_without_stop_on_error_all_of_it_runs() -> None:
    statuses, shown, found = apart(run, False)
    assert statuses == ["error", "ok", "ok", "ok"]
    assert shown == [1, 1, 1]
    assert found == ["(1, 1)", "(1, 1)"]
