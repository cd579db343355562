"""What a kernel relies on: a stream to the PC whenever there is one, and a clear no at once."""

from __future__ import annotations

import asyncio
import hashlib
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
from relay_kernel.hub.client import open_stream, start_hub
from relay_kernel.hub.status import read_status
from relay_kernel.link.errors import DialError
from relay_kernel.settings.edit import remove_target
from tests.agent.process import other_version
from tests.hub.joining import SOON
from tests.sshd import Sshd, echo_python

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.hub.conftest import HubProcess

MIB = 1 << 20


async def echoed(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], data: bytes) -> bytes:
    reader, writer = streams
    writer.write(data)
    return await asyncio.wait_for(reader.readexactly(len(data)), 10)


async def refused(places: Places, name: str = "pc") -> DialError:
    with pytest.raises(DialError) as caught:
        await open_stream(places, name)
    assert "\n" not in caught.value.reason
    return caught.value


class TestStreams:
    async def test_the_hub_comes_by_itself(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        streams = await open_stream(places, "pc")
        assert await echoed(streams, b"hello") == b"hello"
        status = read_status(places)
        assert status is not None
        target = status["targets"]["pc"]
        assert (target["phase"], target["error"]) == ("linked", None)
        assert target["host"] == os.uname().nodename
        assert os.getsid(hub.pid) != os.getsid(0)
        streams[1].close()

    async def test_clients_share_one_connection(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        many = await asyncio.gather(*(open_stream(places, "pc") for _ in range(8)))
        said = await asyncio.gather(*(echoed(s, bytes([i])) for i, s in enumerate(many)))
        assert said == [bytes([i]) for i in range(8)]
        assert sum("Accepted publickey" in line for line in echo.log) == 1
        for _, writer in many:
            writer.close()

    async def test_more_clients_than_sshd_grants_on_one_connection(
        self, places: Places, hub: HubProcess, tmp_path: Path
    ) -> None:
        with Sshd(tmp_path / "few", options=("MaxSessions 2",)) as pc:
            pc.pair(places, python=echo_python(tmp_path, __version__))
            many = [await open_stream(places, "pc") for _ in range(5)]
            for index, streams in enumerate(many):
                assert await echoed(streams, bytes([index])) == bytes([index])
            for _, writer in many:
                writer.close()

    async def test_the_client_s_end_reaches_the_pc_and_the_rest_comes_back(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        reader, writer = await open_stream(places, "pc")
        writer.write(b"last words")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b"last words"
        writer.close()

    async def test_big_transfers_arrive_whole_and_are_not_held(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        reader, writer = await open_stream(places, "pc")
        await echoed((reader, writer), b"warm")
        before = hub.memory
        chunk, count = os.urandom(MIB), 96

        async def send() -> str:
            sent = hashlib.sha256()
            for index in range(count):
                data = bytes([index]) + chunk
                sent.update(data)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
            return sent.hexdigest()

        async def receive() -> str:
            received = hashlib.sha256()
            while data := await reader.read(MIB):
                received.update(data)
            return received.hexdigest()

        sent, received = await asyncio.wait_for(asyncio.gather(send(), receive()), 60)
        assert sent == received
        assert hub.memory - before < 24 * MIB
        writer.close()

    @pytest.mark.alone
    async def test_one_who_does_not_read_stalls_nobody_else(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        _, stuck = await open_stream(places, "pc")
        free = await open_stream(places, "pc")
        await echoed(free, b"warm")
        before = hub.memory
        stuck.write(bytes(64 * MIB))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stuck.drain(), 1)
        begin = time.monotonic()
        for _ in range(100):
            await echoed(free, b"x" * 300)
        assert (time.monotonic() - begin) / 100 < 0.1
        assert hub.memory - before < 32 * MIB
        stuck.transport.abort()
        assert await echoed(free, b"still here") == b"still here"
        free[1].close()


class TestLoss:
    @pytest.mark.alone
    async def test_a_dead_connection_ends_all_streams_at_once(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        many = [await open_stream(places, "pc") for _ in range(3)]
        for streams in many:
            await echoed(streams, b"x")
        assert echo.kill_connections() > 0
        begin = time.monotonic()
        ends = await asyncio.gather(
            *(asyncio.wait_for(reader.read(), 5) for reader, _ in many), return_exceptions=True
        )
        assert time.monotonic() - begin < 1
        assert all(end == b"" or isinstance(end, ConnectionResetError) for end in ends)
        await hub.phase("absent")
        again = await open_stream(places, "pc")
        assert await echoed(again, b"again") == b"again"
        await hub.phase("linked")
        for _, writer in [*many, again]:
            writer.close()

    async def test_a_pc_that_goes_and_comes(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        (await open_stream(places, "pc"))[1].close()
        echo.stop()
        await hub.phase("absent")
        error = await refused(places)
        assert "refuses the connection" in error.reason
        assert not error.permanent
        assert (await hub.phase("absent"))["error"] == error.reason
        echo.start()
        async with asyncio.timeout(5):
            while True:
                try:
                    streams = await open_stream(places, "pc")
                except DialError:
                    continue
                break
        assert await echoed(streams, b"back") == b"back"
        assert (await hub.phase("linked"))["error"] is None
        streams[1].close()

    async def test_a_hub_that_is_killed_is_replaced(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        reader, writer = await open_stream(places, "pc")
        first = hub.pid
        hub.kill()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        streams = await open_stream(places, "pc")
        assert await echoed(streams, b"new") == b"new"
        assert hub.pid != first
        streams[1].close()

    async def test_sigterm_ends_it_and_leaves_nothing(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        reader, writer = await open_stream(places, "pc")
        hub.kill(signal.SIGTERM)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert not places.hub_socket.exists()
        assert not places.hub_status.exists()
        assert "Traceback" not in places.hub_log.read_text()

    async def test_an_agent_that_does_not_start_is_told_at_the_next_dial(
        self, pc: Sshd, places: Places, hub: HubProcess, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken"
        broken.write_text(
            f'#!/bin/sh\n[ "$1" = -c ] && echo {__version__} && exit\necho no disk >&2; exit 1\n'
        )
        broken.chmod(0o755)
        pc.pair(places, python=str(broken))
        reader, writer = await open_stream(places, "pc")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        async with asyncio.timeout(5):
            while True:
                try:
                    (await open_stream(places, "pc"))[1].close()
                except DialError as error:
                    said = error.reason
                    break
        assert "the agent did not start: no disk" in said


class TestRefusals:
    async def test_an_unknown_target(self, echo: Sshd, places: Places, hub: HubProcess) -> None:
        error = await refused(places, "desk")
        assert error.permanent
        assert "has no target desk (it has: pc): run relay add desk" in error.reason

    async def test_a_wrong_configuration_and_its_repair(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        right = places.config.read_text()
        places.config.write_text(right + "[kernel]\nzzz = 1\n")
        error = await refused(places)
        assert error.permanent
        assert f"{places.config}, line 7: kernel.zzz is not known" in error.reason
        places.config.write_text(right)
        (await open_stream(places, "pc"))[1].close()

    async def test_another_host_key(self, echo: Sshd, places: Places, hub: HubProcess) -> None:
        new = echo.new_host_key()
        error = await refused(places)
        assert error.permanent
        assert new.fingerprint in error.reason

    async def test_a_failure_is_remembered_for_the_crowd(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        echo.new_host_key()
        errors = await asyncio.gather(*(refused(places) for _ in range(10)))
        assert len({error.reason for error in errors}) == 1
        assert sum("Connection" in line for line in echo.log) <= 2

    async def test_no_agent_and_no_python(
        self, places: Places, hub: HubProcess, tmp_path: Path
    ) -> None:
        (tmp_path / "bin").mkdir()
        for name in ("sh", "uname", "cat"):
            (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
        with Sshd(tmp_path / "bare", path=str(tmp_path / "bin")) as pc:
            pc.pair(places)
            error = await refused(places)
        assert error.permanent
        assert "has no Python 3.11 or newer" in error.reason

    @pytest.mark.timeout(300)
    async def test_a_missing_agent_is_installed_by_the_hub(
        self, pc: Sshd, places: Places, hub: HubProcess
    ) -> None:
        """After an upgrade of the server nobody has to run anything."""
        pc.pair(places)
        error = await refused(places)
        assert not error.permanent
        assert f"its agent of relay-kernel {__version__} is being installed" in error.reason
        async with asyncio.timeout(240):
            while True:
                try:
                    _, writer = await open_stream(places, "pc")
                except DialError as still:
                    error = still
                    await asyncio.sleep(0.2)
                    continue
                break
        assert "is being installed" in error.reason
        writer.close()
        assert (pc.relay_home / "agents" / __version__ / "bin" / "python").exists()
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("RELAY_HOME") == str(pc.relay_home):
                process.terminate()

    async def test_an_installation_that_fails_is_told(
        self, pc: Sshd, places: Places, hub: HubProcess
    ) -> None:
        pc.pair(places)
        pc.relay_home.write_text("in the way")
        assert "is being installed" in (await refused(places)).reason
        async with asyncio.timeout(60):
            while True:
                error = await refused(places)
                if "is being installed" not in error.reason:
                    break
                await asyncio.sleep(0.1)
        assert error.permanent
        assert "could not store" in error.reason

    async def test_nonsense_and_silence_harm_nobody(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        good = await open_stream(places, "pc")
        _, silent = await asyncio.open_unix_connection(places.hub_socket)
        for nonsense in (b"\xff\n", b"[]\n", b"{}\n", b"x" * 200_000 + b"\n", b'{"open": {}}\n'):
            reader, writer = await asyncio.open_unix_connection(places.hub_socket)
            writer.write(nonsense)
            said = await asyncio.gather(asyncio.wait_for(reader.read(), 5), return_exceptions=True)
            assert not isinstance(said[0], TimeoutError)
            writer.close()
        assert await echoed(good, b"fine") == b"fine"
        silent.close()
        good[1].close()


class TestLife:
    async def test_a_hub_of_another_version_makes_way(
        self, echo: Sshd, places: Places, hub: HubProcess, tmp_path: Path
    ) -> None:
        old = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay_kernel.cli", "hub"),
            env=other_version(tmp_path, "0.0.1"),
            # Else the checkout that the tests run in would come first.
            cwd="/",
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(20):
            while not places.hub_socket.exists():
                await asyncio.sleep(0.02)
        streams = await open_stream(places, "pc")
        assert await echoed(streams, b"new") == b"new"
        assert await asyncio.wait_for(old.wait(), 10) == 0
        streams[1].close()

    async def test_a_hub_in_use_says_when_it_will(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        streams = await open_stream(places, "pc")
        reader, writer = await asyncio.open_unix_connection(places.hub_socket)
        writer.write(json.dumps({"open": "pc", "version": "9.9"}).encode() + b"\n")
        said = json.loads(await asyncio.wait_for(reader.readline(), 10))
        assert said["error"].endswith(
            f"it changes when its 1 notebooks of version {__version__} are closed"
        )
        assert await echoed(streams, b"still") == b"still"
        writer.close()
        streams[1].close()

    async def test_two_hubs_are_one(self, echo: Sshd, places: Places, hub: HubProcess) -> None:
        (await open_stream(places, "pc"))[1].close()
        first = hub.pid
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relay_kernel.cli", "hub", stderr=subprocess.PIPE
        )
        _, said = await asyncio.wait_for(second.communicate(), 20)
        assert second.returncode == 0
        assert b"the hub runs already" in said
        assert hub.pid == first
        (await open_stream(places, "pc"))[1].close()

    async def test_it_ends_when_nobody_needs_it(self, places: Places) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay_kernel.cli", "hub", "--idle-after", "0.1"),
            stderr=subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert not places.hub_socket.exists()

    async def test_a_removed_target_is_hung_up_behind_its_last_client(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        """A cell may run there."""
        streams = await open_stream(places, "pc")
        remove_target(places.config, "pc")
        assert (await refused(places)).permanent
        assert json.loads(places.hub_status.read_text())["targets"] == {}
        assert await echoed(streams, b"goes on") == b"goes on"
        streams[1].close()
        async with asyncio.timeout(SOON):
            while psutil.Process(hub.pid).net_connections("tcp"):
                await asyncio.sleep(0.01)
        assert json.loads(places.hub_status.read_text())["targets"] == {}

    @pytest.mark.parametrize("removed", [True, False])
    async def test_another_machine_of_the_same_name_takes_its_place_at_once(
        self, echo: Sshd, places: Places, hub: HubProcess, tmp_path: Path, removed: bool
    ) -> None:
        reader, writer = await open_stream(places, "pc")
        if removed:
            remove_target(places.config, "pc")
            await refused(places)
        with Sshd(tmp_path / "other") as other:
            other.pair(places, python=echo_python(tmp_path, __version__))
            streams = await open_stream(places, "pc")
            assert await asyncio.wait_for(reader.read(), SOON) == b""
            assert await echoed(streams, b"new") == b"new"
            streams[1].close()
        writer.close()

    async def test_starting_leaves_no_child(
        self, echo: Sshd, places: Places, hub: HubProcess
    ) -> None:
        children = {child.pid for child in psutil.Process().children()}
        start_hub(places)
        assert {child.pid for child in psutil.Process().children()} == children
        (await open_stream(places, "pc"))[1].close()

    async def test_a_folder_of_another_kind_is_one_line(self, places: Places) -> None:
        places.kernels.rmdir()
        places.run.rmdir()
        places.run.symlink_to(places.log)
        error = await refused(places)
        assert error.permanent
        assert "is not a real folder" in error.reason
