"""From the start of a kernel to its end: what is said once, interrupts, restarts, clients."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import zmq
import zmq.asyncio
from jupyter_client.manager import _ShutdownStatus

from relay_kernel.settings.paths import find_places
from tests.conformance.conftest import a_notebook, a_pc, a_server
from tests.conformance.rig import Client, states
from tests.e2e.rig import processes_of
from tests.processes import ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psutil

    from tests.e2e.rig import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Shown while it sleeps, without a flush: what an interrupt does to that is threading's own affair.
LONG = "print('on')\nimport time\ntime.sleep(60)"


class Watched(Client):
    """With somebody who listens to IOPub from before the launch, and keeps what comes as it is."""

    async def __aenter__(self) -> Watched:
        self.frames: list[list[bytes]] = []

        async def while_watched(**_: Any) -> None:
            command, how = await self.manager._async_pre_start_kernel()
            info = self.manager.get_connection_info()
            socket = zmq.asyncio.Context.instance().socket(zmq.SUB)
            socket.rcvhwm = 0
            # It shall be there before R says its first word.
            socket.reconnect_ivl = 1
            socket.subscribe(b"")
            socket.connect(f"tcp://{info['ip']}:{info['iopub_port']}")
            self._watching = asyncio.ensure_future(self._watch(socket))
            await self.manager._async_launch_kernel(command, **how)
            await self.manager._async_post_start_kernel(**how)

        self.manager.start_kernel = while_watched
        return await super().__aenter__()

    async def _watch(self, socket: zmq.asyncio.Socket) -> None:
        try:
            while True:
                self.frames.append(await socket.recv_multipart())
        finally:
            socket.close(linger=0)

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching

    @property
    def seen(self) -> list[tuple[bytes, dict[str, Any], dict[str, Any]]]:
        """Signature, header and content of each message."""
        found = []
        for frames in self.frames:
            at = frames.index(b"<IDS|MSG>")
            signature, header, _, _, content = frames[at + 1 : at + 6]
            found.append((signature, json.loads(header), json.loads(content)))
        return found


@asynccontextmanager
async def watched() -> AsyncIterator[Watched]:
    with a_server() as folder, a_pc(folder) as desktop:
        client = Watched(folder)
        client.desktop = desktop
        async with client:
            yield client


@pytest.mark.sshd
async def test_starting_comes_once_and_no_signature_twice() -> None:
    """Through R's start, the first use of a PC, switches, the end of a kernel, and a cut line."""
    async with watched() as book:
        await book.run("n = 0")
        await book.run_on("pc")
        await book.switch("local")
        await book.switch("pc")
        book.desktop.kill_kernel()
        await book.run_on("pc")
        printing = book.send(
            "import time\nfor n in range(500): print(n, flush=True); time.sleep(0.004)"
        )
        await printing.shows("100\n")
        book.desktop.sshd.kill_connections()
        result = await printing.end()
        assert result.text() == "".join(f"{n}\n" for n in range(500))
        seen = book.seen
    assert len(seen) > 500
    doubled = [signature for signature, n in Counter(s for s, *_ in seen).items() if n > 1]
    assert doubled == []
    starting = [h for _, h, content in seen if content.get("execution_state") == "starting"]
    assert len(starting) == 1
    # Every subscriber is welcomed, by R; what kernels say to their agents is not passed on.
    welcomes = {header["session"] for _, header, _ in seen if header["msg_type"] == "iopub_welcome"}
    assert welcomes == {starting[0]["session"]}


@pytest.mark.parametrize("mode", ["message", "signal"])
async def test_interrupt(book: Client, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both modes, whatever the kernelspec says; nothing but the cell is touched."""
    monkeypatch.setattr(book.manager.kernel_spec, "interrupt_mode", mode)
    pid = int((await book.run("import os; os.getpid()")).value)
    before = {p.pid for p in helpers(book)}
    cell = book.send(LONG)
    await cell.shows("on")
    await book.manager.interrupt_kernel()
    result = await cell.end(2)
    assert result.reply["content"]["ename"] == "KeyboardInterrupt"
    assert states(result.messages) == ["busy", "idle"]
    assert int((await book.run("os.getpid()")).value) == pid
    assert {p.pid for p in helpers(book)} == before
    assert await book.manager.is_alive()


def helpers(book: Client) -> list[psutil.Process]:
    """What runs beside the kernels: R, the hub, the agent and what joins them."""
    found = processes_of(find_places().config.parent)
    found += book.desktop.processes() if hasattr(book, "desktop") else []
    return [process for process in found if "ipykernel_launcher" not in process.cmdline()]


async def test_an_interrupt_reaches_the_callback_of_a_widget(book: Client) -> None:
    """It runs in no cell, and holds up all that come."""
    await book.run("""
import comm, threading, time
began = threading.Event()
def slow(comm, opened):
    comm.on_msg(lambda message: (print("on"), time.sleep(60)))
comm.get_comm_manager().register_target("slow", slow)
""")
    await book.done(
        book.post("comm_open", {"comm_id": "slow-one", "target_name": "slow", "data": {}})
    )
    callback: Running = book.post("comm_msg", {"comm_id": "slow-one", "data": {}})
    await callback.shows("on")
    await book.manager.interrupt_kernel()
    assert states(await book.done(callback, 5)) == ["busy", "idle"]
    assert (await book.run("1 + 1", 5)).value == "2"
    await book.done(book.post("comm_close", {"comm_id": "slow-one", "data": {}}))


async def test_several_clients_see_the_same_and_get_their_own_replies(book: Client) -> None:
    other = book.another()
    other.start_channels()
    try:
        await other.wait_for_ready(timeout=30)
        mine = book.send("print('for all'); 'mine'")
        theirs = other.execute("'theirs'")
        assert (await mine.end()).value == "'mine'"
        reply = await reply_to(other, theirs)
        assert reply["content"]["status"] == "ok"

        def is_theirs(message: dict[str, Any]) -> bool:
            kind, parent = message["msg_type"], message["parent_header"]
            return kind == "execute_input" and parent.get("msg_id") == theirs

        assert (await book.heard(is_theirs))["content"]["code"] == "'theirs'"
        text = ""
        async with asyncio.timeout(10):
            while text != "for all\n":
                message = await other.get_iopub_msg(timeout=10)
                text += message["content"].get("text", "")
        assert message["parent_header"]["msg_id"] == mine.id
    finally:
        other.stop_channels()


async def reply_to(client: Any, asked: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            message = await client.get_shell_msg(timeout=30)
            if message["parent_header"]["msg_id"] == asked:
                return message


async def test_a_client_that_reconnects_gets_the_reply_that_it_waits_for(book: Client) -> None:
    """Under the identity that it had, while its cell runs: the new socket takes over."""
    first = book.another()
    first.start_channels(iopub=False, stdin=False, hb=False, control=False)
    asked = first.execute("import time; time.sleep(0.7); 'later'")
    async with asyncio.timeout(10):
        await book.heard(lambda m: m["parent_header"].get("msg_id") == asked)
    again = book.another()
    again.session.session = first.session.session
    again.start_channels(iopub=False, stdin=False, hb=False, control=False)
    again.kernel_info()
    try:
        assert (await reply_to(again, asked))["content"]["status"] == "ok"
    finally:
        again.stop_channels()
        first.stop_channels()


@pytest.mark.sshd
async def test_restart_on_the_same_ports() -> None:
    """A new kernel at each target, and one only; the clients' channels go on working."""
    async with a_notebook("pc") as book:
        await book.run("x = 1")
        before = book.manager.get_connection_info()
        old = [p.pid for p in book.desktop.named("ipykernel_launcher")]
        await book.restart()
        assert book.manager.get_connection_info() == before
        result = await book.run("'x' in globals()")
        assert (result.value, result.count) == ("False", 1)
        assert (await book.run_on("pc", "'x' in globals()")).value == "False"
        new = [p.pid for p in book.desktop.named("ipykernel_launcher")]
        assert len(new) == 1
        assert new != old


@pytest.mark.sshd
@pytest.mark.parametrize("line", ["up", "cut"])
async def test_shutdown_in_time_whatever_the_line_does(fresh: Client, line: str) -> None:
    """With a cell at work: R answers before it would be killed, says so once, and is gone."""
    cell = fresh.send(LONG)
    await cell.shows("on")
    places = find_places().config.parent
    ours = [p for p in processes_of(places) if "hub" not in p.cmdline()]
    assert ours
    if line == "cut":
        fresh.desktop.lose_power()
    await fresh.manager.shutdown_kernel()
    # Else a signal would have ended it, after 2.5 s.
    assert fresh.manager._shutdown_status is _ShutdownStatus.ShutdownRequest
    await fresh.heard(lambda m: m["msg_type"] == "shutdown_reply")
    said = [m["content"] for m in fresh.all if m["msg_type"] == "shutdown_reply"]
    assert said == [{"status": "ok", "restart": False}]
    await ended(*ours, within=5)


@pytest.mark.sshd
async def test_a_cell_that_kills_its_kernel_ends_and_the_next_one_runs(fresh: Client) -> None:
    await fresh.run("x = [1]")
    cell = fresh.send("import os; os.kill(os.getpid(), 9)")
    result = await cell.end(20)
    assert result.reply["content"]["ename"] == "RelayTargetLost"
    assert states(result.messages) == ["busy", "idle"]
    result = await fresh.run("x.append(2); x")
    assert result.status == "ok", (result.error, result.notices)
    assert result.value == "[1, 2]"
