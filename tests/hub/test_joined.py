"""A PC behind NAT: it dials in, and notebooks reach it as if it had been dialled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from relay_kernel import __version__
from relay_kernel.hub.client import open_stream
from relay_kernel.link.errors import DialError
from relay_kernel.settings.edit import remove_target
from tests.hub.joining import EchoAgent, JoiningPc
from tests.processes import ended, wait_ended
from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.hub.conftest import HubProcess

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def let_in(places: Places, home: Path, key: str, name: str = "pc") -> None:
    """``relay add NAME --dials-in --key … --yes`` as a person runs it on the server."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "relay_kernel.cli", "add", name),
            *("--dials-in", "--key", key, "--yes"),
        ],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def server_with(tmp_path: Path, places: Places, *options: str) -> Iterator[Sshd]:
    """The server's sshd, which goes by the ``authorized_keys`` that ``relay add`` writes."""
    (tmp_path / "home").mkdir()
    keys = tmp_path / "home" / ".ssh" / "authorized_keys"
    home = str(places.config.parent)
    with Sshd(
        tmp_path / "server",
        env={"HOME": str(tmp_path / "home"), "RELAY_HOME": home},
        options=(f"AuthorizedKeysFile {keys}", *options),
    ) as sshd:
        yield sshd
    # A gateway whose PC has gone might still start a hub, after everybody's end.
    wait_ended(*gateways(home))


def gateways(home: str, wish: str = "") -> list[psutil.Process]:
    """The gateways that run with this ``RELAY_HOME``, and were asked for this."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "gateway" in (process.info["cmdline"] or []):
            with contextlib.suppress(psutil.Error):
                env = process.environ()
                if env.get("RELAY_HOME") == home and wish in env["SSH_ORIGINAL_COMMAND"]:
                    found.append(process)
    return found


@pytest.fixture
def server(tmp_path: Path, places: Places) -> Iterator[Sshd]:
    with server_with(tmp_path, places) as sshd:
        yield sshd


@pytest.fixture
def dialler(tmp_path: Path, places: Places, server: Sshd) -> Iterator[JoiningPc]:
    """A PC whose key is let in, and which has not joined yet."""
    with JoiningPc(tmp_path / "pc") as dialler:
        let_in(places, tmp_path / "home", dialler.public_key)
        yield dialler


@pytest.fixture
async def joined(dialler: JoiningPc, server: Sshd, hub: HubProcess) -> AsyncIterator[JoiningPc]:
    """The same, joined, with an echo in the place of its agent."""
    async with EchoAgent(dialler.places):
        dialler.join(server.address)
        await hub.phase("linked")
        yield dialler


async def echoed(streams: Streams, data: bytes) -> bytes:
    reader, writer = streams
    writer.write(data)
    return await asyncio.wait_for(reader.readexactly(len(data)), 10)


async def refused(places: Places, **how: float) -> DialError:
    with pytest.raises(DialError) as caught:
        await open_stream(places, "pc", **how)
    assert "\n" not in caught.value.reason
    return caught.value


class TestJoining:
    async def test_a_notebook_reaches_a_pc_without_sshd(
        self, joined: JoiningPc, places: Places, hub: HubProcess
    ) -> None:
        streams = await open_stream(places, "pc")
        assert await echoed(streams, b"hello") == b"hello"
        assert (await hub.phase("linked"))["host"] == os.uname().nodename
        await joined.says("joined")
        streams[1].close()

    async def test_notebooks_share_one_connection(
        self, joined: JoiningPc, places: Places, server: Sshd
    ) -> None:
        many = await asyncio.gather(*(open_stream(places, "pc") for _ in range(5)))
        said = await asyncio.gather(*(echoed(s, bytes([i])) for i, s in enumerate(many)))
        assert said == [bytes([i]) for i in range(5)]
        assert sum("Accepted publickey" in line for line in server.log) == 1
        for _, writer in many:
            writer.close()

    async def test_more_notebooks_than_sshd_grants_on_one_connection(
        self, tmp_path: Path, places: Places, hub: HubProcess
    ) -> None:
        with (
            server_with(tmp_path, places, "MaxSessions 2") as server,
            JoiningPc(tmp_path / "pc") as dialler,
        ):
            let_in(places, tmp_path / "home", dialler.public_key)
            async with EchoAgent(dialler.places):
                dialler.join(server.address)
                await hub.phase("linked")
                many = [await open_stream(places, "pc") for _ in range(5)]
                for index, streams in enumerate(many):
                    assert await echoed(streams, bytes([index])) == bytes([index])
                for _, writer in many:
                    writer.close()

    async def test_the_pc_comes_before_it_is_asked_again(
        self, dialler: JoiningPc, server: Sshd, places: Places
    ) -> None:
        """A notebook that waits gets its stream the moment the PC is there."""
        async with EchoAgent(dialler.places):
            waiting = asyncio.create_task(open_stream(places, "pc", patience=20))
            dialler.join(server.address)
            streams = await asyncio.wait_for(waiting, 20)
            assert await echoed(streams, b"there") == b"there"
            streams[1].close()

    async def test_a_pc_that_is_not_there(self, dialler: JoiningPc, places: Places) -> None:
        error = await refused(places)
        assert error.reason == "pc dials in, and is not there: run relay join on it"
        assert not error.permanent
        assert not error.waited
        assert (await refused(places, patience=0.2)).waited

    async def test_ends_travel_both_ways(
        self, joined: JoiningPc, places: Places, hub: HubProcess
    ) -> None:
        reader, writer = await open_stream(places, "pc")
        await echoed((reader, writer), b"x")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        streams = gateways(str(places.config.parent), "stream")
        await ended(*streams, within=10)


class TestLoss:
    async def test_a_hub_that_is_killed_is_joined_again(
        self, joined: JoiningPc, places: Places, hub: HubProcess
    ) -> None:
        first = hub.pid
        hub.kill()
        streams = await open_stream(places, "pc", patience=20)
        assert await echoed(streams, b"new") == b"new"
        assert hub.pid != first
        streams[1].close()

    async def test_a_connection_that_is_cut_is_made_again(
        self, joined: JoiningPc, places: Places, server: Sshd, hub: HubProcess
    ) -> None:
        reader, writer = await open_stream(places, "pc")
        await echoed((reader, writer), b"x")
        server.kill_connections()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        streams = await open_stream(places, "pc", patience=20)
        assert await echoed(streams, b"back") == b"back"
        streams[1].close()

    @pytest.mark.alone
    async def test_a_pc_that_died_silently_is_replaced_by_itself(
        self, joined: JoiningPc, places: Places, server: Sshd, hub: HubProcess
    ) -> None:
        """Nothing of the old line is closed; the new one must not be kept out by it."""
        old = await open_stream(places, "pc")
        await echoed(old, b"x")
        assert joined.process is not None
        joined.process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        await hub.phase("absent")
        assert time.monotonic() - begin < 6
        assert await asyncio.wait_for(old[0].read(), 5) == b""
        old[1].close()
        joined.process.send_signal(signal.SIGCONT)
        streams = await open_stream(places, "pc", patience=20)
        assert await echoed(streams, b"again") == b"again"
        streams[1].close()

    async def test_a_newer_line_of_the_same_pc_counts_at_once(
        self, joined: JoiningPc, places: Places, server: Sshd, tmp_path: Path, hub: HubProcess
    ) -> None:
        assert joined.process is not None
        joined.process.send_signal(signal.SIGSTOP)
        with JoiningPc(tmp_path / "again") as again:
            again.key = joined.key
            async with EchoAgent(again.places) as agent:
                again.join(server.address)
                await again.says("joined")
                streams = await open_stream(places, "pc")
                assert await echoed(streams, b"new") == b"new"
                assert agent.count == 1
                streams[1].close()

    async def test_goodbye_is_known_at_once(
        self, joined: JoiningPc, places: Places, hub: HubProcess
    ) -> None:
        assert joined.leave() == 0
        status = await hub.phase("absent")
        assert "it said goodbye: relay join was stopped" in str(status["error"])

    async def test_a_server_that_goes_and_comes(
        self, joined: JoiningPc, places: Places, server: Sshd
    ) -> None:
        server.stop()
        await joined.says("refuses the connection")
        server.start()
        streams = await open_stream(places, "pc", patience=20)
        assert await echoed(streams, b"back") == b"back"
        streams[1].close()


class TestRefusals:
    async def test_a_key_that_is_not_let_in_yet(
        self, server: Sshd, places: Places, tmp_path: Path, hub: HubProcess
    ) -> None:
        with JoiningPc(tmp_path / "pc") as dialler:
            dialler.join(server.address, "--name", "desk")
            line = await dialler.says("does not let this PC's key in yet")
            kind, blob, _ = dialler.public_key.split()
            assert f"relay add desk --dials-in --key '{kind} {blob}'" in line

    async def test_another_host_key(self, joined: JoiningPc, server: Sshd, places: Places) -> None:
        server.new_host_key()
        server.kill_connections()
        line = await joined.says("is pinned: if that machine")
        assert f"run relay join {server.address} again" in line

    async def test_a_removed_target(
        self, joined: JoiningPc, server: Sshd, places: Places, hub: HubProcess
    ) -> None:
        remove_target(places.config, "pc")
        await refused(places)
        await joined.says("has no target pc")

    async def test_an_agent_that_does_not_start(
        self, dialler: JoiningPc, server: Sshd, places: Places, hub: HubProcess
    ) -> None:
        dialler.places.make().agent_socket.mkdir()
        dialler.join(server.address)
        await hub.phase("linked")
        error = await refused(places)
        assert "the agent cannot be reached" in error.reason
        assert error.reason.startswith(f"pc ({os.uname().nodename}): ")

    async def test_two_joins_on_one_pc(self, joined: JoiningPc, server: Sshd) -> None:
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay_kernel.cli", "join", server.address, "--yes"),
            env=joined.env,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        _, said = await asyncio.wait_for(done.communicate(), 20)
        assert done.returncode == 1
        assert b"runs here already" in said

    async def test_another_version_is_told_what_to_do(
        self, dialler: JoiningPc, places: Places, hub: HubProcess
    ) -> None:
        said = await greet(places, hub, version="0.0.1", host="desk", boot_id="b")
        assert f"pc has relay-kernel 0.0.1, and the server {__version__}" in str(said["error"])

    async def test_another_machine_does_not_take_a_living_line(
        self, joined: JoiningPc, places: Places, hub: HubProcess
    ) -> None:
        said = await greet(places, hub, version=__version__, host="other", boot_id="other")
        assert "another machine" in str(said["error"])
        assert (await hub.phase("linked"))["host"] == os.uname().nodename

    async def test_another_machine_takes_a_dead_line(
        self, joined: JoiningPc, places: Places, hub: HubProcess
    ) -> None:
        """The PC that has rebooted into its other system must not wait for the old one's end."""
        assert joined.process is not None
        joined.process.send_signal(signal.SIGSTOP)
        said = await greet(places, hub, version=__version__, host="other", boot_id="other")
        assert said["welcome"] == {"name": "pc", "version": __version__}


async def greet(places: Places, hub: HubProcess, **hello: str) -> dict[str, object]:
    """What the hub answers to the greeting of a PC's line."""
    with pytest.raises(DialError):
        # Only to have a hub.
        await open_stream(places, "nobody")
    reader, writer = await asyncio.open_unix_connection(places.hub_socket)
    writer.write(json.dumps({"gateway": "pc", "wish": "relay-join line"}).encode() + b"\n")
    writer.write(json.dumps(hello).encode() + b"\n")
    answer: dict[str, object] = json.loads(await asyncio.wait_for(reader.readline(), 10))
    writer.close()
    return answer
