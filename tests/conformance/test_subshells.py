"""Subshells, beside a main shell that is busy; each belongs to the kernel where it was made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.conformance.rig import states
from tests.conformance.test_comms import listen
from tests.processes import lives

if TYPE_CHECKING:
    from tests.conformance.rig import Client
    from tests.e2e.rig import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Runs until somebody, on another shell, lets it go on.
HELD = """
import threading
let_go = threading.Event()
print("begun", flush=True)
let_go.wait(60)
"""


async def create(book: Client) -> str:
    reply = (await book.talk("create_subshell_request", {}, channel="control")).reply
    assert reply["content"]["status"] == "ok"
    return reply["content"]["subshell_id"]


async def delete(book: Client, subshell: str) -> dict[str, Any]:
    content = {"subshell_id": subshell}
    return (await book.talk("delete_subshell_request", content, channel="control")).reply["content"]


async def listed(book: Client) -> list[str]:
    reply = (await book.talk("list_subshell_request", {}, channel="control")).reply
    return reply["content"]["subshell_id"]


def on(book: Client, subshell: str, code: str, **content: Any) -> Running:
    """Run a cell on a subshell."""
    content = {"code": code, "silent": False, "store_history": False, **content}
    return book.post("execute_request", content, header={"subshell_id": subshell})


async def hold(book: Client) -> Running:
    """Have the main shell at work until it is let go."""
    held = book.send(HELD)
    await held.shows("begun")
    return held


async def test_made_listed_and_deleted(book: Client) -> None:
    assert await listed(book) == []
    one, two = await create(book), await create(book)
    assert sorted(await listed(book)) == sorted([one, two])
    assert (await delete(book, one))["status"] == "ok"
    assert await listed(book) == [two]
    assert (await delete(book, one))["status"] == "error"
    assert (await delete(book, two))["status"] == "ok"
    assert await listed(book) == []


async def test_cells_run_beside_a_busy_main_shell_and_beside_each_other(book: Client) -> None:
    held = await hold(book)
    # A busy main shell keeps none of these waiting.
    one, two = await create(book), await create(book)
    assert sorted(await listed(book)) == sorted([one, two])
    meet = "meet = threading.Barrier(2)"
    assert (await on(book, one, meet).end()).status == "ok"
    # They can only meet if both run at the same time.
    pair = [on(book, each, f"meet.wait(30); print({each!r})") for each in (one, two)]
    for each, running in zip((one, two), pair, strict=True):
        result = await running.end()
        assert result.status == "ok"
        assert result.text() == each + "\n"
        assert states(result.messages) == ["busy", "idle"]
        parents = {m["parent_header"]["subshell_id"] for m in result.messages}
        assert parents == {each}
        assert result.relay["target"] in {"local", "pc"}
    assert not held.reply.done()
    await on(book, one, "let_go.set()").end()
    assert (await held.end()).status == "ok"
    for each in (one, two):
        assert (await delete(book, each))["status"] == "ok"


async def test_an_error_aborts_what_is_queued_on_its_own_shell_only(book: Client) -> None:
    held = await hold(book)
    mine, other = await create(book), await create(book)
    queued = book.send("'main'")
    await on(book, mine, "gate = threading.Event()").end()
    gate = on(book, mine, "gate.wait(30); 1/0")
    behind = on(book, mine, "'not run'")
    assert (await on(book, other, "gate.set(); 'other'").end()).value == "'other'"
    assert (await gate.end()).status == "error"
    aborted = await behind.end()
    assert aborted.status == "aborted"
    assert states(aborted.messages) == ["busy", "idle"]
    assert (await on(book, mine, "'again'").end()).value == "'again'"
    await on(book, other, "let_go.set()").end()
    assert (await held.end()).status == "ok"
    assert (await queued.end()).value == "'main'"
    for each in (mine, other):
        await delete(book, each)


@pytest.mark.parametrize("kind", ["never", "deleted"])
async def test_a_subshell_that_is_not_there_answers_with_an_error(book: Client, kind: str) -> None:
    gone = "no-such-subshell"
    if kind == "deleted":
        gone = await create(book)
        await delete(book, gone)
    refused = await on(book, gone, "'not run'").end()
    assert refused.reply["msg_type"] == "execute_reply"
    assert refused.status == "error"
    assert refused.reply["content"]["ename"] == "UnknownSubshellError"
    assert states(refused.messages) == ["busy", "idle"]
    posted = book.post("comm_msg", {"comm_id": "x", "data": {}}, header={"subshell_id": gone})
    assert states(await book.done(posted)) == ["busy", "idle"]


async def test_a_comm_answers_over_the_subshell_that_asked(book: Client) -> None:
    await listen(book)
    subshell = await create(book)
    header = {"subshell_id": subshell}
    open_ = {"comm_id": f"over-{subshell}", "target_name": "echo", "data": {}}
    await book.done(book.post("comm_open", open_, header=header))
    held = await hold(book)
    told = {"comm_id": open_["comm_id"], "data": {"n": 1}}
    messages = await book.done(book.post("comm_msg", told, header=header))
    (answer,) = [m for m in messages if m["msg_type"] == "comm_msg"]
    assert answer["content"]["data"] == {"back": {"n": 1}}
    assert answer["parent_header"]["subshell_id"] == subshell
    assert not held.reply.done()
    await on(book, subshell, "let_go.set()").end()
    await held.end()
    await delete(book, subshell)


async def test_input_on_a_subshell_reaches_the_one_who_asked(book: Client) -> None:
    subshell = await create(book)
    book.stdin = lambda message: message["content"]["prompt"].upper()
    running = on(book, subshell, "input('who? ')", allow_stdin=True)
    assert (await running.end()).value == "'WHO? '"
    await delete(book, subshell)


@pytest.mark.sshd
async def test_an_id_means_nothing_where_it_was_not_made(far: Client) -> None:
    """Cells of it are refused, and run nowhere; it is there again when the role comes back."""
    await far.switch("pc")
    there = await create(far)
    assert (await on(far, there, "seen = ['pc']").end()).status == "ok"
    await far.switch("local")
    assert there not in await listed(far)
    refused = await asyncio.wait_for(on(far, there, "seen.append('wrong')").end(), 10)
    assert refused.status == "error"
    assert "belongs to pc" in refused.error
    assert states(refused.messages) == ["busy", "idle"]
    here = await create(far)
    assert (await on(far, here, "'ran here'").end()).value == "'ran here'"
    assert await listed(far) == [here]
    await far.switch("pc")
    assert await listed(far) == [there]
    assert (await on(far, there, "seen").end()).value == "['pc']"
    for each in (here, there):
        assert (await delete(far, each))["status"] == "ok"


@pytest.mark.sshd
async def test_an_answer_goes_to_the_kernel_that_asked(far: Client) -> None:
    """Also where the role has moved since the question."""
    await far.switch("pc")
    there = await create(far)
    asked = asyncio.Event()
    far.answer = lambda message: asked.set()
    running = on(far, there, "input('still there? ')", allow_stdin=True)
    await asyncio.wait_for(asked.wait(), 30)
    await far.switch("local")
    far.client.input("yes")
    assert (await running.end()).value == "'yes'"
    await delete(far, there)


@pytest.mark.sshd
async def test_a_comm_of_one_kernel_over_a_subshell_of_another(far: Client) -> None:
    """As a front end does that keeps one subshell for all widgets, whatever the role does."""
    await far.switch("pc")
    await listen(far)
    theirs = await create(far)
    header = {"subshell_id": theirs}
    await far.switch("local")
    await listen(far)
    open_ = {"comm_id": "new-here", "target_name": "echo", "data": {}}
    await far.done(far.post("comm_open", open_, header=header))
    held = await hold(far)
    told = {"comm_id": "new-here", "data": {"n": 2}}
    for _ in range(2):
        messages = await far.done(far.post("comm_msg", told, header=header))
        (answer,) = [m for m in messages if m["msg_type"] == "comm_msg"]
        # Although the main shell is busy: it has a subshell here as well.
        assert answer["content"]["data"] == {"back": {"n": 2}}
        assert answer["parent_header"]["subshell_id"] == theirs
        assert states(messages) == ["busy", "idle"]
    assert not held.reply.done()
    # What R has made for this is its own affair.
    assert await listed(far) == []
    assert (await delete(far, theirs))["status"] == "ok"
    await far.manager.interrupt_kernel()
    assert (await held.end()).status == "error"
    threads = "[t.name for t in threading.enumerate() if t.name.startswith('subshell-')]"
    assert (await far.run(threads)).value == "[]"


@pytest.mark.sshd
async def test_after_a_loss_an_old_id_still_serves_widgets_and_no_cells(fresh: Client) -> None:
    theirs = await create(fresh)
    asked = on(fresh, theirs, "import time\nprint('on', flush=True)\ntime.sleep(60)")
    await asked.shows("on")
    fresh.desktop.lose_power()
    assert (await fresh.run("1 + 1")).value == "2"
    lost = await asked.end()
    assert lost.error.startswith("RelayTargetLost: execute_request was not answered: pc")
    assert states(lost.messages) == ["busy", "idle"]
    refused = await asyncio.wait_for(on(fresh, theirs, "'not run'").end(), 10)
    assert refused.reply["content"]["ename"] == "UnknownSubshellError"
    assert await listed(fresh) == []
    await listen(fresh)
    header = {"subshell_id": theirs}
    open_ = {"comm_id": "after", "target_name": "echo", "data": {}}
    await fresh.done(fresh.post("comm_open", open_, header=header))
    messages = await fresh.done(
        fresh.post("comm_msg", {"comm_id": "after", "data": {"n": 3}}, header=header)
    )
    assert [m["content"]["data"] for m in messages if m["msg_type"] == "comm_msg"] == [
        {"back": {"n": 3}}
    ]
    assert (await delete(fresh, theirs))["status"] == "ok"


@pytest.mark.sshd
async def test_shutdown_with_subshells_open_is_clean(fresh: Client) -> None:
    kernels = [psutil.Process(int((await fresh.run("import os; os.getpid()")).value))]
    await on(fresh, await create(fresh), "1").end()
    await fresh.switch("local")
    kernels.append(psutil.Process(int((await fresh.run("os.getpid()")).value)))
    held = on(fresh, await create(fresh), "import time\nprint('on', flush=True)\ntime.sleep(60)")
    await held.shows("on")
    reply = await fresh.ask("shutdown_request", {"restart": False}, "control")
    assert reply["content"] == {"status": "ok", "restart": False}
    async with asyncio.timeout(10):
        while await fresh.manager.is_alive() or any(map(lives, kernels)):
            await asyncio.sleep(0.02)
