"""Messages come through as the kernel and the front end made them, each with its own parent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.rig import states

if TYPE_CHECKING:
    from tests.conformance.rig import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

HISTORY = {"hist_access_type": "tail", "n": 1, "raw": True, "output": False}
NO_REPLY = {"comm_msg", "bogus_request"}

REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("shell", "execute_request", {"code": "print(1)", "silent": False}),
    ("shell", "execute_request", {"code": "1", "silent": True}),
    ("shell", "complete_request", {"code": "pri", "cursor_pos": 3}),
    ("shell", "inspect_request", {"code": "print", "cursor_pos": 3, "detail_level": 0}),
    ("shell", "is_complete_request", {"code": "for x in y:"}),
    ("shell", "history_request", HISTORY),
    ("shell", "comm_info_request", {}),
    ("shell", "kernel_info_request", {}),
    ("control", "kernel_info_request", {}),
    ("shell", "connect_request", {}),
    ("control", "usage_request", {}),
    ("control", "list_subshell_request", {}),
    ("shell", "comm_msg", {"comm_id": "nobody's", "data": {}}),
    ("shell", "bogus_request", {"any": "thing"}),
    ("control", "bogus_request", {}),
]


@pytest.mark.parametrize(("channel", "kind", "content"), REQUESTS)
async def test_one_busy_one_idle(
    book: Client, channel: str, kind: str, content: dict[str, Any]
) -> None:
    seen = len(book.others)
    posted = book.post(kind, content, channel)
    messages = await book.done(posted)
    assert states(messages) == ["busy", "idle"]
    assert (messages[0], messages[-1]) == tuple(m for m in messages if m["msg_type"] == "status")
    assert not [m for m in book.others[seen:] if m["msg_type"] == "status"]
    if kind in NO_REPLY:
        # What is answered later has its reply after it.
        await book.talk("kernel_info_request", {}, channel=channel)
        assert not posted.reply.done()
    else:
        reply = await asyncio.wait_for(posted.reply, 10)
        assert reply["msg_type"] == kind.replace("_request", "_reply")
        assert reply["content"].get("status", "ok") in {"ok", "incomplete"}


async def test_headers_come_back_as_they_were(book: Client) -> None:
    """Also what nobody knows, and what would change if it were parsed."""
    header = {
        "subshell_id": None,
        "username": "Ada Łovelace ☕",
        "date": "2026-11-26T08:09:10.012345+02:00",
        "x_unknown": "kept",
    }
    raw: list[dict[str, Any]] = []
    # Session turns dates into objects; what it was given is what came over the wire.
    session = book.client.session
    unpack = session.unpack

    def keep(data: bytes) -> Any:
        value = unpack(data)
        if isinstance(value, dict) and "x_unknown" in value:
            raw.append(dict(value))
        return value

    session.unpack = keep
    try:
        posted = book.post("execute_request", {"code": "print(1); 2"}, header=header)
        result = await posted.end()
    finally:
        session.unpack = unpack
    assert result.types == ["status", "execute_input", "stream", "execute_result", "status"]
    assert len(raw) == len(result.messages) + 1
    for parent in raw:
        assert {key: parent[key] for key in header} == header
        assert parent["msg_id"] == posted.id
        assert parent["version"] == session.msg("x")["header"]["version"]


async def test_user_code_sees_the_message_of_the_front_end(book: Client) -> None:
    code = "print(get_ipython().kernel.get_parent()['header']['msg_id'])"
    posted = book.send(code)
    assert (await posted.end()).text() == posted.id + "\n"


async def test_everybody_is_welcomed(book: Client) -> None:
    """Each subscriber, not only the first: the one that waits for it misses nothing."""
    for _ in range(3):
        client = book.another()
        client.start_channels(shell=False, stdin=False, hb=False, control=False)
        welcome = await client.get_iopub_msg(timeout=10)
        client.stop_channels()
        assert welcome["msg_type"] == "iopub_welcome"
        assert welcome["parent_header"] == {}
        assert welcome["content"] == {"subscription": ""}


async def test_rich_output_and_its_metadata(book: Client) -> None:
    code = """
from IPython.display import display
bundle = {"text/plain": "x", "text/html": "<b>x</b>", "application/json": {"a": [1]}}
display(bundle, raw=True, metadata={"text/html": {"isolated": True}})
class Shown:
    def _repr_mimebundle_(self, include=None, exclude=None): return bundle, {"k": 1}
Shown()
"""
    result = await book.run(code)
    shown, value = (
        m for m in result.messages if m["msg_type"] in {"display_data", "execute_result"}
    )
    assert shown["content"]["data"]["application/json"] == {"a": [1]}
    assert shown["content"]["metadata"] == {"text/html": {"isolated": True}}
    assert value["content"]["data"]["text/html"] == "<b>x</b>"
    assert value["content"]["metadata"] == {"k": 1}


async def test_clear_output_comes_before_what_takes_its_place(book: Client) -> None:
    code = """
from IPython.display import clear_output, display
print("old", flush=True)
clear_output(wait=True)
display("new")
"""
    result = await book.run(code)
    assert result.types[2:-1] == ["stream", "clear_output", "display_data"]
    (cleared,) = [m for m in result.messages if m["msg_type"] == "clear_output"]
    assert cleared["content"] == {"wait": True}


async def test_connect_tells_the_ports_of_the_front_end(book: Client) -> None:
    told = (await book.talk("connect_request", {})).reply["content"]
    info = book.manager.get_connection_info()
    names = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
    assert {name: told[name] for name in names} == {name: info[name] for name in names}


async def test_usage_describes_the_kernel_that_runs_the_cells(book: Client) -> None:
    pid = int((await book.run("import os; os.getpid()")).value)
    usage = (await book.talk("usage_request", {}, channel="control")).reply["content"]
    assert usage["pid"] == pid
    assert usage["kernel_memory"] > 1 << 20
