"""Comms: both ways, with buffers; of the kernel that opened them; closed when that is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conformance.rig import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Keeps what it is told, and says it back.
ECHO = """
import comm as _comm
told = {{}}
def echo(comm, opened):
    said = told.setdefault(comm.comm_id, [])
    def hear(message):
        said.append(message["content"]["data"])
        comm.send({{"back": message["content"]["data"]}}, buffers=message["buffers"])
    comm.on_msg(hear)
_comm.get_comm_manager().register_target({name!r}, echo)
"""

OPEN = """
from comm import create_comm
mine = create_comm(target_name="t", data={"first": True}, buffers=[b"", b"x", bytes(20_000_000)])
"""


async def listen(book: Client, name: str = "echo") -> None:
    """Have the kernel that runs the cells answer comms of a name."""
    assert (await book.run(ECHO.format(name=name))).status == "ok"


def opened(messages: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [m for m in messages if m["msg_type"] == "comm_open"]
    return found


async def listed(book: Client, **content: Any) -> dict[str, str]:
    """Id and name of each comm that there is said to be."""
    reply = await book.talk("comm_info_request", content)
    comms = reply.reply["content"]["comms"]
    return {comm: about["target_name"] for comm, about in comms.items()}


async def close(book: Client, comm: str) -> None:
    await book.done(book.post("comm_close", {"comm_id": comm, "data": {}}))


def closes(comm: str) -> Any:
    return lambda m: m["msg_type"] == "comm_close" and m["content"]["comm_id"] == comm


async def test_buffers_to_the_front_end(book: Client) -> None:
    message = opened((await book.run(OPEN)).messages)
    assert [bytes(b) for b in message["buffers"]] == [b"", b"x", bytes(20_000_000)]
    assert message["content"]["data"] == {"first": True}
    assert message["content"]["target_name"] == "t"
    result = await book.run("mine.close()")
    assert [m["content"]["comm_id"] for m in result.messages if m["msg_type"] == "comm_close"] == [
        message["content"]["comm_id"]
    ]


async def test_buffers_to_the_kernel_and_back(book: Client) -> None:
    await listen(book)
    buffers = [b"", b"x", bytes(range(256)) * 78_125]
    open_ = {"comm_id": "both-ways", "target_name": "echo", "data": {}}
    await book.done(book.post("comm_open", open_))
    content = {"comm_id": "both-ways", "data": {"n": 1}}
    messages = await book.done(book.post("comm_msg", content, buffers=buffers))
    (answer,) = [m for m in messages if m["msg_type"] == "comm_msg"]
    assert answer["content"]["data"] == {"back": {"n": 1}}
    assert [bytes(b) for b in answer["buffers"]] == buffers
    await close(book, "both-ways")


async def test_a_comm_for_a_name_that_nobody_has_is_closed_by_the_kernel(book: Client) -> None:
    content = {"comm_id": "nobody-there", "target_name": "no such name", "data": {}}
    messages = await book.done(book.post("comm_open", content))
    assert [m["content"]["comm_id"] for m in messages if m["msg_type"] == "comm_close"] == [
        "nobody-there"
    ]
    assert "nobody-there" not in await listed(book)


async def test_comm_info_lists_what_is_open_and_can_be_asked_for_one_name(book: Client) -> None:
    code = 'from comm import create_comm\none, two = (create_comm(target_name=n) for n in "ab")'
    result = await book.run(code)
    one, two = (m["content"]["comm_id"] for m in result.messages if m["msg_type"] == "comm_open")
    assert {one: "a", two: "b"}.items() <= (await listed(book)).items()
    assert one in await listed(book, target_name="a")
    assert two not in await listed(book, target_name="a")
    await book.run("one.close(); two.close()")
    assert not {one, two} & (await listed(book)).keys()


async def test_messages_keep_their_place_behind_cells_that_wait(book: Client) -> None:
    """A comm can be opened right behind the cell that makes its kind known."""
    running = book.send("import time; time.sleep(0.3)")
    queued = book.send(ECHO.format(name="soon"))
    opening = {"comm_id": "right-behind", "target_name": "soon", "data": {}}
    posted = book.post("comm_open", opening)
    told = book.post("comm_msg", {"comm_id": "right-behind", "data": {"n": 1}})
    assert (await running.end()).status == (await queued.end()).status == "ok"
    assert "comm_close" not in [m["msg_type"] for m in await book.done(posted)]
    (answer,) = [m for m in await book.done(told) if m["msg_type"] == "comm_msg"]
    assert answer["content"]["data"] == {"back": {"n": 1}}
    await close(book, "right-behind")


async def test_output_of_a_cell_goes_into_an_output_widget(book: Client) -> None:
    """The widget takes what has the cell's own message for its parent."""
    cell = book.send("""
import ipywidgets
out = ipywidgets.Output()
with out:
    print("inside")
""")
    result = await cell.end()
    updates = [
        m["content"]["data"]["state"]["msg_id"]
        for m in result.messages
        if m["msg_type"] == "comm_msg" and "msg_id" in m["content"]["data"].get("state", {})
    ]
    assert updates == [cell.id, ""]
    assert result.text() == "inside\n"


async def test_a_slider_moves_a_variable_and_calls_back(book: Client) -> None:
    result = await book.run("""
import ipywidgets
slider, seen = ipywidgets.IntSlider(value=3), []
slider.observe(lambda change: (seen.append(change["new"]), print("moved")), "value")
slider
""")
    (view,) = [m for m in result.messages if m["msg_type"] == "execute_result"]
    model = view["content"]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    state = {"method": "update", "state": {"value": 8}, "buffer_paths": []}
    messages = await book.done(book.post("comm_msg", {"comm_id": model, "data": state}))
    assert [m["content"]["text"] for m in messages if m["msg_type"] == "stream"] == ["moved\n"]
    assert (await book.run("seen, slider.value")).value == "([8], 8)"
    await book.run("ipywidgets.Widget.close_all()")


@pytest.mark.sshd
async def test_a_comm_stays_with_the_kernel_that_opened_it(far: Client) -> None:
    await far.switch("local")
    await listen(far)
    here = opened((await far.run("here = _comm.create_comm(target_name='here')")).messages)
    asked = {"comm_id": "asked-here", "target_name": "echo", "data": {}}
    await far.done(far.post("comm_open", asked))
    await far.switch("pc")
    await listen(far)
    there = opened((await far.run("there = _comm.create_comm(target_name='there')")).messages)
    names = await listed(far)
    assert names[here["content"]["comm_id"]] == "here"
    assert names[there["content"]["comm_id"]] == "there"
    assert names["asked-here"] == "echo"
    assert await listed(far, target_name="here") == {here["content"]["comm_id"]: "here"}
    told = far.post("comm_msg", {"comm_id": "asked-here", "data": {"to": "local"}})
    messages = await far.done(told)
    (answer,) = [m for m in messages if m["msg_type"] == "comm_msg"]
    assert answer["content"]["data"] == {"back": {"to": "local"}}
    assert (await far.run("'asked-here' in told")).value == "False"
    await close(far, "asked-here")
    assert "asked-here" not in await listed(far)
    # What the standby closes, front ends see closed.
    await far.switch("local")
    await listen(far, "unused")
    closing = f"_comm.get_comm_manager().comms[{here['content']['comm_id']!r}].close()"
    result = await far.run(closing)
    assert result.types.count("comm_close") == 1
    assert here["content"]["comm_id"] not in await listed(far)


@pytest.mark.sshd
@pytest.mark.parametrize("way", ["power", "kernel"])
async def test_comms_of_a_lost_kernel_are_closed(fresh: Client, way: str) -> None:
    """One `comm_close` each, and none for those of the other kernel."""
    await fresh.switch("local")
    here = opened((await fresh.run("from comm import create_comm; a = create_comm()")).messages)
    await fresh.switch("pc")
    result = await fresh.run("b = create_comm(target_name='t'); c = create_comm(target_name='t')")
    gone = {m["content"]["comm_id"] for m in result.messages if m["msg_type"] == "comm_open"}
    assert len(gone) == 2
    if way == "power":
        fresh.desktop.lose_power()
    else:
        fresh.desktop.kill_kernel()
    running = fresh.send("1 + 1")
    for comm in gone:
        found = await fresh.heard(closes(comm))
        assert found["parent_header"] == {}
    assert (await running.end()).value == "2"
    closed = [m["content"]["comm_id"] for m in fresh.others if m["msg_type"] == "comm_close"]
    assert sorted(closed) == sorted(gone)
    names = await listed(fresh)
    assert not gone & names.keys()
    assert here["content"]["comm_id"] in names
