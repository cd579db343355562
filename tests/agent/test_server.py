"""The process on the PC: who gets a kernel, who gets it back, and when it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from relay_kernel import __version__
from relay_kernel.agent import server as module
from relay_kernel.agent.server import AgentServer
from relay_kernel.link.stream import SocketStream
from relay_kernel.wire import frames
from relay_kernel.wire.frames import Decoder, Note, Type
from relay_kernel.wire.kernel_frames import unpack
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import PROTOCOL, Opened, Parted, Refused
from tests.agent.rig import SOON, Owner
from tests.processes import ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

HELLO = {
    "version": __version__,
    "notebook": "book",
    "heartbeat": 5.0,
    "keep": 60.0,
    "resume": False,
}


class Agent:
    """A real agent in this process, on its real socket."""

    def __init__(self, places: Places, folder: Path) -> None:
        self.places = places
        self.server = AgentServer(places)
        self._folder = folder
        self._serving = asyncio.ensure_future(self.server.serve())
        self._owners: list[Owner] = []

    def owner(self, session: str, **hello: Any) -> Owner:
        """A notebook that is not linked yet."""
        hello = {**HELLO, "session": session, **hello}
        self._owners.append(Owner(self._folder / session, hello))
        return self._owners[-1]

    async def connect(self) -> SocketStream:
        """A link to the agent that says nothing by itself."""
        async with asyncio.timeout(SOON):
            while not self.places.agent_socket.exists():
                await asyncio.sleep(0.01)
            return SocketStream(*await asyncio.open_unix_connection(self.places.agent_socket))

    async def link(self, owner: Owner) -> None:
        """Link a notebook."""
        before = owner.count(Opened)
        owner.link(await self.connect())
        await owner.until(lambda: owner.count(Opened) > before)

    async def refusal(self, owner: Owner) -> str:
        """Link a notebook that is to be refused; return why it was."""
        owner.link(await self.connect())
        event = await owner.sees(Refused)
        assert isinstance(event, Refused)
        reason = await owner.linked_until()
        assert reason == event.fields["why"]
        assert "\n" not in reason
        return reason

    async def closed(self) -> None:
        """Wait until the agent has ended."""
        await asyncio.shield(self._serving)

    async def close(self) -> None:
        """End the agent."""
        self.server.stop()
        await asyncio.wait_for(self._serving, SOON)
        for owner in self._owners:
            owner.pump.close_link()


@pytest.fixture
async def agent(
    places: Places, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Agent]:
    monkeypatch.setattr(module, "_TICK", 0.02)
    agent = Agent(places, folder)
    yield agent
    await agent.close()


async def vanished(path: Path) -> None:
    """Wait until nothing has this name any more."""
    async with asyncio.timeout(SOON):
        while path.exists():
            await asyncio.sleep(0.01)


async def heard(stream: SocketStream) -> list[frames.Frame]:
    """What comes over a link until its end."""
    decoder = Decoder()
    got: list[frames.Frame] = []
    async with asyncio.timeout(SOON):
        with contextlib.suppress(ConnectionError):
            while data := await stream.read():
                got += decoder.feed(data)
    stream.close()
    return got


async def kernel_of(owner: Owner) -> psutil.Process:
    """Start a kernel for a notebook."""
    return psutil.Process((await owner.start()).head["pid"])


class TestGreetings:
    async def test_a_notebook_of_this_version_is_welcome(self, agent: Agent) -> None:
        owner = agent.owner("s1")
        await agent.link(owner)
        event = await owner.sees(Opened)
        assert isinstance(event, Opened)
        assert (event.hello["session"], event.hello["version"]) == ("s1", __version__)
        assert event.hello["boot_id"]

    async def test_another_version_is_refused_with_both(self, agent: Agent) -> None:
        reason = await agent.refusal(agent.owner("s1", version="9.9"))
        assert __version__ in reason
        assert "9.9" in reason

    async def test_a_session_that_is_not_here_cannot_be_resumed(self, agent: Agent) -> None:
        """Its kernel died with the agent before this one: to begin anew would hide that."""
        owner = agent.owner("s1", resume=True)
        assert await agent.refusal(owner) == "unknown session"
        event = await owner.sees(Refused)
        assert isinstance(event, Refused)
        # By these R tells a new agent from a new boot.
        assert event.fields["boot_id"]
        assert event.fields["instance"]

    @pytest.mark.parametrize(
        "garbage",
        [
            b"GET / HTTP/1.1\r\n\r\n",
            b"\xff" * 100,
            frames.ack(0),
            b"".join(frames.data(1, 0, [b"early"])),
            frames.note(Type.GOODBYE, {"reason": "before it began"}),
        ],
        ids=["http", "bytes", "ack", "data", "goodbye"],
    )
    async def test_what_is_no_greeting_ends_its_link_and_nothing_else(
        self, agent: Agent, garbage: bytes
    ) -> None:
        owner = agent.owner("s1")
        await agent.link(owner)
        stream = await agent.connect()
        stream.write([garbage])
        assert await heard(stream) == []
        assert owner.pump.linked

    @pytest.mark.parametrize(
        "fields",
        [
            {"notebook": "../../etc"},
            {"session": "../x"},
            {"notebook": ""},
            {"protocol": 99},
            {"heartbeat": "fast"},
            {"keep": None},
            {"resume": 5},
        ],
    )
    async def test_a_greeting_that_is_not_in_order_ends_its_link(
        self, agent: Agent, fields: dict[str, Any]
    ) -> None:
        stream = await agent.connect()
        hello = {"protocol": PROTOCOL, "received": 0, **HELLO, "session": "s1", **fields}
        stream.write([frames.note(Type.HELLO, hello)])
        assert all(isinstance(f, Note) and f.type is Type.HELLO for f in await heard(stream))

    async def test_one_who_says_nothing_is_not_waited_for(
        self, agent: Agent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "GREETING", 0.05)
        assert await heard(await agent.connect()) == []

    async def test_nobody_else_on_the_machine_can_connect(self, agent: Agent) -> None:
        (await agent.connect()).close()
        mode = agent.places.agent_socket.stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        assert stat.S_IMODE(agent.places.run.stat().st_mode) == 0o700


class TestSessions:
    async def test_a_cut_link_costs_neither_kernel_nor_messages(self, agent: Agent) -> None:
        owner = agent.owner("s1")
        await agent.link(owner)
        process = await kernel_of(owner)
        id_ = owner.execute("for n in range(300): print(n, flush=True)\nx = 1", cell=1)
        await owner.report("frames")
        await owner.unlink()
        owner.pump.session.hello["resume"] = True
        await agent.link(owner)
        reply, _ = await owner.answer(id_)
        assert reply.content["status"] == "ok"
        assert (await owner.report("captured")).head["cell"] == 1
        assert process.is_running()
        assert await owner.value("x") == "1"

    async def test_what_is_printed_while_nobody_listens_waits_on_the_disk(
        self, agent: Agent
    ) -> None:
        """The server is away for hours, and a cell goes on printing: no line is dropped."""
        owner = agent.owner("s1")
        await agent.link(owner)
        await kernel_of(owner)
        session = agent.server._guests["s1"].pump.session
        session._ordinary._memory = 1 << 20
        id_ = owner.execute("for n in range(3000): print(n, 'x' * 2000, flush=True)", cell=1)
        await owner.report("frames")
        await owner.unlink()
        async with asyncio.timeout(SOON):
            while session._ordinary.spooled < 10:
                await asyncio.sleep(0.01)
        spool = agent.places.state / "spool"
        assert list(spool.iterdir()) == [], "a file without a name"
        owner.pump.session.hello["resume"] = True
        await agent.link(owner)
        said = ""
        while True:
            frames = unpack(await owner.report("frames"))
            if frames.type == "stream":
                said += frames.content["text"]
            elif frames.content.get("execution_state") == "idle" and frames.parent_id == id_:
                break
        assert [line.split()[0] for line in said.splitlines()] == [str(n) for n in range(3000)]

    async def test_a_second_link_takes_the_place_of_the_first(self, agent: Agent) -> None:
        """A link can be dead for this end, and not yet for that one."""
        owner = agent.owner("s1")
        await agent.link(owner)
        owner.order("apply", cell=1, chunks=[])
        await owner.report("unapplied")
        owner.events.clear()
        owner.pump.session.hello["resume"] = True
        await agent.link(owner)
        owner.order("apply", cell=2, chunks=[])
        assert (await owner.report("unapplied")).head["cell"] == 2

    async def test_a_new_session_ends_the_kernel_of_the_one_before(self, agent: Agent) -> None:
        """R gave it up or was killed; two kernels of a notebook must not write the same files."""
        old, bystander = agent.owner("old"), agent.owner("bystander", notebook="other")
        await asyncio.gather(agent.link(old), agent.link(bystander))
        processes = await asyncio.gather(kernel_of(old), kernel_of(bystander))
        new = agent.owner("new")
        await agent.link(new)
        await ended(processes[0])
        assert processes[1].is_running()
        # Nor can the old session come back.
        again = agent.owner("old", resume=True)
        assert await agent.refusal(again) == "unknown session"

    async def test_goodbye_ends_the_kernel_and_removes_its_store(self, agent: Agent) -> None:
        owner = agent.owner("s1")
        await agent.link(owner)
        process = await kernel_of(owner)
        await owner.run("x = 'secret'", cell=1)
        store = agent.places.store / "book"
        assert any(store.rglob("*"))
        owner.pump.part("shutdown")
        await ended(process)
        await vanished(store)
        assert not (agent.places.run / "as1").exists()

    async def test_one_that_does_not_come_back_is_ended_after_its_time(self, agent: Agent) -> None:
        owner, stays = agent.owner("s1", keep=0.1), agent.owner("s2", keep=0.1, notebook="other")
        await asyncio.gather(agent.link(owner), agent.link(stays))
        process = await kernel_of(owner)
        await owner.unlink()
        await ended(process)
        await vanished(agent.places.run / "as1")
        assert stays.pump.linked
        assert await agent.refusal(agent.owner("s1", resume=True)) == "unknown session"
        # What it computed stays in the cache: the notebook itself was not closed.
        assert (agent.places.store / "book").exists()

    async def test_one_that_comes_back_in_time_is_not(self, agent: Agent) -> None:
        owner = agent.owner("s1", keep=1.0)
        await agent.link(owner)
        process = await kernel_of(owner)
        for _ in range(3):
            await owner.unlink()
            owner.pump.session.hello["resume"] = True
            await agent.link(owner)
        # It is not the time of the first cut that counts.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(agent.closed(), 1.3)
        assert process.is_running()
        assert owner.pump.linked

    async def test_when_r_hears_a_goodbye_the_kernel_stands_still_already(
        self, agent: Agent
    ) -> None:
        """R runs the cell elsewhere at once; two runs of it must not overlap."""
        owner = agent.owner("s1")
        await agent.link(owner)
        process = await kernel_of(owner)
        owner.execute("import time; time.sleep(60)", cell=1)
        await owner.report("frames")
        parting = asyncio.ensure_future(agent.server.part("the machine is shutting down"))
        assert await owner.sees(Parted) == Parted({"reason": "the machine is shutting down"})
        # It has been told to; the system needs a moment.
        async with asyncio.timeout(0.5):
            while process.status() != psutil.STATUS_STOPPED:
                await asyncio.sleep(0.001)
        assert not parting.done()
        await parting
        await ended(process)

    async def test_a_stopping_agent_says_goodbye_and_leaves_nothing_running(
        self, agent: Agent
    ) -> None:
        owner = agent.owner("s1")
        await agent.link(owner)
        process = await kernel_of(owner)
        agent.server.stop()
        event = await owner.sees(Parted)
        assert event == Parted({"reason": "the agent was stopped"})
        await ended(process)
        await agent.closed()
        assert not agent.places.agent_socket.exists()


async def test_two_notebooks_do_not_see_each_other(agent: Agent) -> None:
    one, two = agent.owner("s1", notebook="one"), agent.owner("s2", notebook="two")
    await asyncio.gather(agent.link(one), agent.link(two))
    one.pump.send(Message("apply", {"cell": 1, "chunks": []}))
    two.pump.send(Message("apply", {"cell": 2, "chunks": []}))
    assert (await one.report("unapplied")).head["cell"] == 1
    assert (await two.report("unapplied")).head["cell"] == 2
    assert one.reports == two.reports == []
