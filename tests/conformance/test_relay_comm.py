"""The ``relay`` comm, message by message: who is told what, and what a page may choose."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.core.overview import COMM, VERSION
from tests.conformance.rig import states
from tests.e2e.rig import SOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.conformance.rig import Client
    from tests.e2e.rig import Running

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sshd]


def said(messages: list[dict[str, Any]], comm: str = COMM) -> list[dict[str, Any]]:
    """What was said over a comm."""
    found = [m["content"] for m in messages if m["msg_type"] == "comm_msg"]
    return [content["data"] for content in found if content["comm_id"] == comm]


async def ask(book: Client, comm: str = COMM, **data: Any) -> dict[str, Any]:
    """Say something over a comm that is open; return what R says to it."""
    messages = await book.done(book.post("comm_msg", {"comm_id": comm, "data": data}))
    assert states(messages) == ["busy", "idle"]
    (answer,) = said(messages, comm)
    return answer


async def pushed(
    book: Client, wanted: Callable[[dict[str, Any]], bool], since: int
) -> dict[str, Any]:
    """Wait until R says by itself that it is as ``wanted``."""
    message = await book.heard(
        lambda m: not m["parent_header"] and any(map(wanted, said([m]))), since
    )
    return message["content"]["data"]


def target(seen: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in seen["targets"] if one["name"] == name]
    return found


@asynccontextmanager
async def at_input(book: Client) -> AsyncIterator[Running]:
    """A cell that waits for its user; it ends with the context."""
    asked, before = asyncio.Event(), book.answer
    book.answer = lambda message: asked.set()
    running = book.send("input()")
    try:
        async with asyncio.timeout(SOON):
            await asked.wait()
        yield running
    finally:
        book.answer = before
        book.client.input("go on")
        await running.end()


async def test_it_is_listed_for_whoever_asks_for_it(far: Client) -> None:
    asked = await far.talk("comm_info_request", {"target_name": COMM})
    assert asked.reply["content"]["comms"] == {COMM: {"target_name": COMM}}
    # To all others it is none of the user's.
    everything = await far.talk("comm_info_request", {})
    assert COMM not in everything.reply["content"]["comms"]


async def test_where_cells_run_and_what_is_safe(far: Client) -> None:
    await far.switch("pc")
    cell = await far.run(
        "import threading\nlock = threading.Lock(); lock.acquire(); None\n%relay wait"
    )
    await far.run("pass\n%relay wait")
    seen = await ask(far, do="look")
    assert seen["version"] == VERSION
    assert (seen["primary"], seen["mode"]) == ("pc", "auto")
    assert seen["count"] == cell.count + 1
    assert seen["safe_count"] >= cell.count
    assert seen["running"] is None
    (lock,) = seen["left_behind"]
    assert (lock["name"], lock["target"]) == ("lock", "pc")
    assert lock["reason"]
    assert target(seen, "pc")["is_primary"]
    assert target(seen, "pc")["rtt_ms"] > 0
    assert target(seen, "pc")["host"]
    await far.run("del lock")


async def test_a_cell_that_runs_is_told_and_its_end_is(far: Client) -> None:
    await ask(far, do="look")
    since = len(far.all)
    async with at_input(far) as running:
        seen = await pushed(far, lambda d: d["running"] is not None, since)
        assert seen["running"]["message"] == running.id
        assert seen["running"]["target"] == seen["primary"]
    count = (await running.end()).count
    await pushed(far, lambda d: d["count"] == count and d["safe_count"] == count, since)


async def test_a_page_may_choose_as_the_magic_does(far: Client) -> None:
    assert (await ask(far, do="use", target="local"))["mode"] == "local"
    since = len(far.all)
    assert (await far.run("pass")).target == "local"
    seen = await pushed(far, lambda d: d["primary"] == "local" and d["moved"] is not None, since)
    assert not seen["moved"]["is_news"]
    assert (seen["moved"]["source"], seen["moved"]["target"]) == ("pc", "local")
    assert (await ask(far, do="use", target="auto"))["mode"] == "auto"
    await far.run_on("pc")


async def test_what_is_not_understood_changes_nothing(far: Client) -> None:
    before = await ask(far, do="look")
    nowhere = await ask(far, do="use", target="mars")
    assert nowhere == {"error": "there is no target 'mars' to use; there are: auto, pc, local"}
    assert "cannot 'restart'" in (await ask(far, do="restart"))["error"]
    after = await ask(far, do="look")
    assert (after["mode"], after["primary"], after["epoch"]) == tuple(
        before[key] for key in ("mode", "primary", "epoch")
    )


async def test_a_comm_of_a_pages_own(far: Client) -> None:
    opened = await far.done(far.post("comm_open", {"comm_id": "mine", "target_name": COMM}))
    assert said(opened, "mine")[0]["version"] == VERSION
    since = len(far.all)
    await far.run("pass")
    await far.heard(lambda m: bool(said([m], "mine")) and not m["parent_header"], since)
    assert await far.done(far.post("comm_close", {"comm_id": "mine"}))
    listed = await far.talk("comm_info_request", {"target_name": COMM})
    assert "mine" not in listed.reply["content"]["comms"]


async def test_how_busy_the_machines_are_while_somebody_watches(far: Client) -> None:
    assert target(await ask(far, do="look"), "pc")["usage"] is None
    since = len(far.all)
    await ask(far, do="watch")
    seen = await pushed(
        far, lambda d: all(target(d, name)["usage"] for name in ("pc", "local")), since
    )
    usage = target(seen, "pc")["usage"]
    assert 0 <= usage["cpu"] <= 1
    assert 0 < usage["memory_used"] < usage["memory_total"]


async def test_a_cell_that_runs_still_looks_busy(far: Client) -> None:
    async with at_input(far):
        since = len(far.all)
        await ask(far, do="look")
        await far.heard(
            lambda m: m["content"].get("execution_state") == "busy" and not m["parent_header"],
            since,
        )


async def test_at_last_a_pc_that_loses_power(far: Client) -> None:
    await ask(far, do="look")
    since = len(far.all)
    cell = far.send("import time\nfor _ in range(50): time.sleep(0.1)")
    await pushed(far, lambda d: d["running"] is not None, since)
    far.desktop.lose_power()
    seen = await pushed(far, lambda d: target(d, "pc")["phase"] == "quiet", since)
    assert target(seen, "pc")["reason"]
    seen = await pushed(far, lambda d: d["moved"] is not None and d["moved"]["is_loss"], since)
    assert (seen["moved"]["source"], seen["moved"]["target"]) == ("pc", "local")
    assert "pc was lost" in seen["moved"]["text"]
    assert seen["moved"]["is_news"]
    assert (await cell.end()).target == "local"
