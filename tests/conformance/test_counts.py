"""Execution counts, and what an error does to the cells that were sent behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.rig import states

if TYPE_CHECKING:
    from tests.conformance.rig import Client
    from tests.e2e.rig import Result

pytestmark = pytest.mark.asyncio(loop_scope="module")


def counts(result: Result) -> tuple[int | None, int | None, int]:
    """The counts of execute_input, execute_result and reply."""

    def of(kind: str) -> int | None:
        found = [m["content"]["execution_count"] for m in result.messages if m["msg_type"] == kind]
        return found[0] if found else None

    return of("execute_input"), of("execute_result"), result.count


STEPS: list[tuple[str, dict[str, Any]]] = [
    ("{n} + 0", {}),
    ("{n} + 1", {}),
    ("{n} + 2", {}),
    ("{n} + 3", {"silent": True}),
    ("{n} + 4", {"store_history": False}),
    ("{n} + 5", {}),
]
#: What one ipykernel says to these, counted from the first.
OF_ONE_KERNEL = [(1, 1, 1), (2, 2, 2), (3, 3, 3), (None, None, 3), (4, 3, 3), (4, 4, 4)]


async def test_as_one_ipykernel_counts(book: Client) -> None:
    start = (await book.run("0")).count
    found = [counts(await book.run(code.format(n=1), **how)) for code, how in STEPS]
    assert found == [tuple(c if c is None else start + c for c in step) for step in OF_ONE_KERNEL]


@pytest.mark.sshd
async def test_as_one_ipykernel_counts_wherever_the_cells_run(far: Client) -> None:
    """Here, there, here, silent, without history, there."""
    await far.switch("local")
    start = (await far.run("0")).count
    found = []
    places = ["%%relay local", "%%relay pc", "%%relay local", None, None, "%%relay pc"]
    for place, (code, how) in zip(places, STEPS, strict=True):
        text = code.format(n=1)
        result = await far.run(f"{place}\n{text}" if place else text, **how)
        if place:
            assert place.endswith(result.target)
        found.append(counts(result))
    assert found == [tuple(c if c is None else start + c for c in step) for step in OF_ONE_KERNEL]
    for place in ("local", "pc"):
        asked = await far.run(f"%%relay {place}\nOut[{start + 2}], _{start + 2}, len(In)")
        assert asked.target == place
        assert asked.value == f"(2, 2, {asked.count + 1})"


async def test_an_error_aborts_what_was_sent_behind_it(book: Client) -> None:
    cells = [book.send(code) for code in ("1/0", "behind = 1", "behind = 2")]
    question = book.post("is_complete_request", {"code": "for x in y:"})
    results = [await cell.end() for cell in cells]
    assert [result.status for result in results] == ["error", "aborted", "aborted"]
    for result in results[1:]:
        assert result.types == ["status", "status"]
        assert states(result.messages) == ["busy", "idle"]
    assert (await question.end()).reply["content"]["status"] == "incomplete"
    assert (await book.run("'behind' in globals()")).value == "False"


async def test_where_it_is_not_to_stop_all_run(book: Client) -> None:
    codes = ("1/0", "ran = 1", "ran += 1")
    cells = [book.send(code, stop_on_error=False) for code in codes]
    assert [(await cell.end()).status for cell in cells] == ["error", "ok", "ok"]
    assert (await book.run("ran")).value == "2"


async def test_a_silent_error_stops_nothing(book: Client) -> None:
    cells = [book.send("1/0", silent=True), book.send("went = 'on'")]
    assert [(await cell.end()).status for cell in cells] == ["error", "ok"]
    assert (await book.run("went")).value == "'on'"


@pytest.mark.sshd
async def test_an_error_aborts_over_both_targets(far: Client) -> None:
    await far.switch("pc")
    codes = ("1/0", "%%relay pc\nmissed = 1", "%%relay local\nmissed = 2")
    cells = [far.send(code) for code in codes]
    question = far.post("is_complete_request", {"code": "for x in y:"})
    results = [await cell.end() for cell in cells]
    assert [result.status for result in results] == ["error", "aborted", "aborted"]
    assert [result.types for result in results[1:]] == [["status", "status"]] * 2
    assert (await question.end()).reply["content"]["status"] == "incomplete"
    for place in ("local", "pc"):
        found = await far.run(f"%%relay {place}\n'missed' in globals()")
        assert (found.value, found.target) == ("False", place)
