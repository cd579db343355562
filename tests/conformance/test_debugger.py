"""The debugger: as a front end drives it, at each target, and where the role has moved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.rig import states

if TYPE_CHECKING:
    from tests.conformance.rig import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODE = """def double(number):
    result = number * 2
    return result

doubled = double(21)
"""


async def attach(book: Client) -> None:
    started = await book.debug("initialize", clientID="test", adapterID="", pathFormat="path")
    assert started["success"]
    assert (await book.debug("attach"))["success"]


async def break_at(book: Client, line: int, code: str = CODE) -> str:
    """Set a breakpoint in a cell; return the name of the cell's file."""
    dumped = await book.debug("dumpCell", code=code)
    path = dumped["body"]["sourcePath"]
    set_ = await book.debug(
        "setBreakpoints", source={"path": path}, breakpoints=[{"line": line}], sourceModified=False
    )
    assert [each["verified"] for each in set_["body"]["breakpoints"]] == [True]
    assert (await book.debug("configurationDone"))["success"]
    return path


def event(name: str) -> Any:
    return lambda m: m["msg_type"] == "debug_event" and m["content"]["event"] == name


async def stopped(book: Client, since: int) -> int:
    """Wait for the breakpoint; return the thread that stands at it."""
    return (await book.heard(event("stopped"), since))["content"]["body"]["threadId"]


async def go_on(book: Client, thread: int) -> None:
    assert (await book.debug("continue", threadId=thread))["success"]


async def look_around(book: Client, thread: int, path: str) -> None:
    """Do what a front end does at a breakpoint."""
    trace = await book.debug("stackTrace", threadId=thread)
    frame = trace["body"]["stackFrames"][0]
    assert (frame["name"], frame["line"], frame["source"]["path"]) == ("double", 2, path)
    assert "number * 2" in (await book.debug("source", source={"path": path}))["body"]["content"]
    scopes = (await book.debug("scopes", frameId=frame["id"]))["body"]["scopes"]
    reference = scopes[0]["variablesReference"]
    seen = (await book.debug("variables", variablesReference=reference))["body"]["variables"]
    assert [v["value"] for v in seen if v["name"] == "number"] == ["21"]
    rich = await book.debug("richInspectVariables", variableName="number", frameId=frame["id"])
    assert rich["body"]["data"]["text/plain"] == "21"
    copied = await book.debug(
        "copyToGlobals", srcVariableName="number", dstVariableName="copied", srcFrameId=frame["id"]
    )
    assert copied["success"]
    info = (await book.debug("debugInfo"))["body"]
    assert thread in info["stoppedThreads"]


async def disconnect(book: Client) -> None:
    assert (await book.debug("disconnect", restart=False, terminateDebuggee=False))["success"]


async def test_it_is_advertised_where_the_kernel_has_it(book: Client) -> None:
    for channel in ("shell", "control"):
        info = (await book.talk("kernel_info_request", {}, channel=channel)).reply["content"]
        assert "debugger" in info["supported_features"]
        assert "kernel subshells" in info["supported_features"]
    code = "import json; print(json.dumps(get_ipython().kernel.kernel_info['supported_features']))"
    assert (await book.run(code)).text().strip() == str(info["supported_features"]).replace(
        "'", '"'
    )


async def test_variables_can_be_seen_without_it(book: Client) -> None:
    await book.run("answer = {'is': 42}")
    info = (await book.debug("debugInfo"))["body"]
    assert info["isStarted"] is False
    seen = (await book.debug("inspectVariables"))["body"]["variables"]
    assert "answer" in [variable["name"] for variable in seen]
    rich = await book.debug("richInspectVariables", variableName="answer")
    assert rich["body"]["data"]["text/plain"] == "{'is': 42}"
    assert (await book.debug("modules"))["body"]["totalModules"] > 100
    assert (
        await book.debug("copyToGlobals", srcVariableName="a b", dstVariableName="c", srcFrameId=0)
    )["success"] is False


async def test_a_breakpoint_stops_a_cell_and_lets_it_go_on(book: Client) -> None:
    await attach(book)
    info = (await book.debug("debugInfo"))["body"]
    path = await break_at(book, 2)
    assert path.startswith(info["tmpFilePrefix"])
    since = len(book.all)
    running = book.send(CODE)
    thread = await stopped(book, since)
    await look_around(book, thread, path)
    # The main shell stands still, and R says what it is all the same.
    reply = await asyncio.wait_for(book.ask("kernel_info_request", {}), 1)
    assert "debugger" in reply["content"]["supported_features"]
    assert not running.reply.done()
    await go_on(book, thread)
    result = await running.end()
    assert result.status == "ok"
    assert states(result.messages) == ["busy", "idle"]
    assert (await book.run("doubled, copied")).value == "(42, 21)"
    await disconnect(book)
    assert (await book.debug("debugInfo"))["body"]["isStarted"] is False
    assert (await book.run(CODE + "doubled")).value == "42"


async def test_a_step_out_of_a_cell_does_not_lead_into_our_code(book: Client) -> None:
    """What ends a cell of ours stands between it and the next, and is passed over."""
    await attach(book)
    code = "first = 1\nsecond = 2\n"
    await break_at(book, 2, code)
    since = len(book.all)
    running = book.send(code)
    thread = await stopped(book, since)
    since = len(book.all)
    assert (await book.debug("next", threadId=thread))["success"]
    assert (await running.end()).status == "ok"
    after = book.send("first + second")
    assert await stopped(book, since) == thread
    trace = await book.debug("stackTrace", threadId=thread)
    frames = trace["body"]["stackFrames"]
    assert frames
    assert not [f["source"]["path"] for f in frames if "inkernel" in f["source"]["path"]]
    await go_on(book, thread)
    assert (await after.end()).value == "3"
    await disconnect(book)


async def test_disconnect_is_answered_where_nothing_is_attached(book: Client) -> None:
    await disconnect(book)


@pytest.mark.sshd
async def test_breakpoints_move_with_the_role(far: Client) -> None:
    """One that was set on the PC stops the cell on the server, and the other way round."""
    await far.switch("pc")
    await attach(far)
    path = await break_at(far, 2)
    for target in ("local", "pc"):
        await far.switch(target)
        await far.run("doubled = copied = None")
        since = len(far.all)
        running = far.send(CODE)
        thread = await stopped(far, since)
        await look_around(far, thread, path)
        await go_on(far, thread)
        result = await running.end()
        assert (result.status, result.target) == ("ok", target)
        # The state was taken and brought over with the debugger attached at both.
        assert (await far.run("doubled, copied")).value == "(42, 21)"
    assert (await far.debug("debugInfo"))["body"]["isStarted"] is True
    await disconnect(far)
    await far.switch("local")
    assert (await far.debug("debugInfo"))["body"]["isStarted"] is False
    assert (await far.run(CODE + "doubled")).value == "42"


@pytest.mark.sshd
async def test_a_function_defined_there_stops_here(far: Client) -> None:
    await far.switch("pc")
    await far.run(CODE)
    await far.switch("local")
    await attach(far)
    path = await break_at(far, 2)
    since = len(far.all)
    running = far.send("double(21)")
    thread = await stopped(far, since)
    await look_around(far, thread, path)
    await go_on(far, thread)
    assert (await running.end()).value == "42"
    await disconnect(far)


@pytest.mark.sshd
async def test_a_loss_at_a_breakpoint_stops_again_at_it_on_the_server(fresh: Client) -> None:
    await attach(fresh)
    await break_at(fresh, 2, CODE + "doubled")
    # The server's debugger is told the same; what is asked of it now comes after that.
    await fresh.switch("local")
    assert (await fresh.debug("debugInfo"))["body"]["isStarted"]
    await fresh.switch("pc")
    since = len(fresh.all)
    running = fresh.send(CODE + "doubled")
    thread = await stopped(fresh, since)
    since = len(fresh.all)
    asked = fresh.post(
        "debug_request",
        {"type": "request", "command": "stackTrace", "seq": 9, "arguments": {"threadId": thread}},
        "control",
    )
    assert (await asked.end()).reply["content"]["success"]
    fresh.desktop.kill_kernel()
    # What stood there is gone, and front ends hear so; the cell runs again, and stops here.
    went_on = await fresh.heard(event("continued"), since)
    assert went_on["content"]["body"]["threadId"] == thread
    thread = await stopped(fresh, since)
    await go_on(fresh, thread)
    result = await running.end()
    assert (result.value, result.target) == ("42", "local")
    await disconnect(fresh)


@pytest.mark.sshd
async def test_a_request_to_a_debugger_that_is_lost_says_no(fresh: Client) -> None:
    await attach(fresh)
    fresh.desktop.freeze()
    asked = await asyncio.wait_for(fresh.debug("inspectVariables"), 15)
    assert asked["success"] is False
    assert asked["type"] == "response"
    assert asked["command"] == "inspectVariables"
    assert "was not answered: pc" in asked["message"]
