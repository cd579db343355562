"""Dialling a real sshd: it works the ways users log in, and each failure is one clear line."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from relay_kernel.link import ssh
from relay_kernel.link.errors import DialError, LinkError, TooManyChannelsError
from relay_kernel.link.pins import pin, read_pins
from relay_kernel.link.ssh import Connection, connect
from relay_kernel.settings.config import TargetConfig
from tests.sshd import Sshd, make_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places


@pytest.fixture
async def conn(pc: Sshd, places: Places) -> AsyncIterator[Connection]:
    pin(places, "pc", pc.host_key)
    made = await connect(pc.target(), places)
    yield made
    made.abort()
    await made.wait_closed()


@pytest.fixture
def own_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``~/.ssh``, and no ssh-agent."""
    folder = tmp_path / "user" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


async def refused(target: TargetConfig, places: Places, *, permanent: bool) -> str:
    with pytest.raises(DialError) as caught:
        await connect(target, places)
    assert caught.value.permanent is permanent
    assert caught.value.retryable is not permanent
    assert caught.value.reason == str(caught.value)
    assert "\n" not in caught.value.reason
    return caught.value.reason


class TestDialling:
    async def test_a_command_runs(self, conn: Connection) -> None:
        done = await conn.run("cat; echo bad >&2; exit 3", b"data", timeout=10)
        assert (done.status, done.output, done.errors) == (3, "data", "bad\n")

    async def test_it_is_told_how_much_of_a_large_input_is_on_its_way(
        self, conn: Connection
    ) -> None:
        """Also where it answers before it has read everything."""
        told: list[tuple[int, int]] = []
        size = 8 << 20
        done = await conn.run(
            "cat", bytes(size), timeout=60, progress=lambda *counts: told.append(counts)
        )
        assert len(done.output) == size
        assert told == sorted(told)
        assert told[-1] == (size, size)
        assert len(told) > 10

    async def test_a_command_without_input_sees_its_end(self, conn: Connection) -> None:
        assert (await conn.run("cat", timeout=10)).status == 0

    async def test_a_command_that_hangs_is_given_up(self, conn: Connection) -> None:
        with pytest.raises(DialError, match=r"did not finish a command within 0\.1 s"):
            await conn.run("exec sleep 60", timeout=0.1)

    async def test_the_socket_is_quick_and_impatient(self, conn: Connection) -> None:
        peer = conn._conn.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == ssh.USER_TIMEOUT

    async def test_an_alias_of_ssh_config(self, pc: Sshd, places: Places, own_ssh: Path) -> None:
        (own_ssh / "config").write_text(
            f"Host desk\n  HostName {pc.host}\n  Port {pc.port}\n  User {pc.user}\n"
            f"  IdentityFile {pc.identity}\n  RequestTTY force\n  RemoteCommand false\n"
        )
        pin(places, "pc", pc.host_key)
        conn = await connect(TargetConfig("pc", ssh="desk"), places)
        assert (await conn.run("echo there", timeout=10)).output == "there\n"
        conn.abort()

    async def test_a_key_in_ssh_agent(
        self, pc: Sshd, places: Places, own_ssh: Path, agent: str
    ) -> None:
        pin(places, "pc", pc.host_key)
        subprocess.run(["ssh-add", "-q", str(pc.identity)], check=True)
        conn = await connect(TargetConfig("pc", ssh=pc.address), places)
        conn.abort()

    async def test_a_key_with_a_passphrase_in_ssh_agent(
        self, pc: Sshd, places: Places, own_ssh: Path, agent: str
    ) -> None:
        pin(places, "pc", pc.host_key)
        subprocess.run(["ssh-add", "-q", str(pc.identity)], check=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(pc.identity)],
            check=True,
        )
        conn = await connect(pc.target(), places)
        conn.abort()

    async def test_the_end_of_the_pc_is_seen(self, pc: Sshd, conn: Connection) -> None:
        channel = await conn.open_channel("exec cat")
        reading = asyncio.create_task(channel.read(1))
        pc.kill_connections()
        async with asyncio.timeout(5):
            await conn.wait_closed()
            with pytest.raises(LinkError, match="the connection to pc was lost"):
                await reading
        with pytest.raises(DialError):
            await conn.open_channel("exec cat")


class TestRefusals:
    async def test_a_name_that_does_not_resolve(self, places: Places, pc: Sshd) -> None:
        pin(places, "pc", pc.host_key)
        target = replace(pc.target(), ssh="me@no-such-host.invalid")
        said = await refused(target, places, permanent=False)
        assert said.startswith("pc (me@no-such-host.invalid): the name does not resolve")

    async def test_a_port_where_nobody_listens(self, pc: Sshd, places: Places) -> None:
        pin(places, "pc", pc.host_key)
        pc.stop()
        said = await refused(pc.target(), places, permanent=False)
        assert said.startswith(f"pc ({pc.address}) refuses the connection: is sshd running there")

    async def test_a_name_with_two_addresses_where_nobody_listens(
        self, pc: Sshd, places: Places
    ) -> None:
        pin(places, "pc", pc.host_key)
        pc.stop()
        target = replace(pc.target(), ssh=f"localhost:{pc.port}")
        assert "refuses the connection" in await refused(target, places, permanent=False)

    async def test_a_pc_that_hangs(
        self, pc: Sshd, places: Places, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pin(places, "pc", pc.host_key)
        monkeypatch.setattr(ssh, "DIAL_TIMEOUT", 0.3)
        pc.pause()
        said = await refused(pc.target(), places, permanent=False)
        assert "does not answer within" in said

    async def test_something_that_is_no_sshd(self, pc: Sshd, places: Places) -> None:
        pin(places, "pc", pc.host_key)

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await refused(replace(pc.target(), ssh=f"127.0.0.1:{port}"), places, permanent=False)
        server.close()

    async def test_a_key_not_pinned_yet(self, pc: Sshd, places: Places) -> None:
        said = await refused(pc.target(), places, permanent=True)
        assert said.endswith("its host key is not pinned yet: run relay add pc")

    async def test_another_key_than_the_pinned_one(self, pc: Sshd, places: Places) -> None:
        pin(places, "pc", pc.host_key)
        old, new = pc.host_key, pc.new_host_key()
        said = await refused(pc.target(), places, permanent=True)
        assert f"shows the host key {new}, but {old} is pinned" in said
        assert "run relay add pc again" in said
        assert read_pins(places, "pc") == (old,)

    async def test_a_key_of_another_kind_than_the_pinned_one(
        self, pc: Sshd, places: Places, tmp_path: Path
    ) -> None:
        rsa = make_key(tmp_path / "rsa", kind="rsa")
        pin(places, "pc", pc.host_key)
        options = (f"HostKey {rsa}", "HostKeyAlgorithms rsa-sha2-256")
        with Sshd(tmp_path / "other", options=options) as other:
            said = await refused(other.target(), places, permanent=True)
        assert "shows the host key RSA SHA256:" in said

    async def test_a_key_that_is_not_allowed_in(
        self, pc: Sshd, places: Places, tmp_path: Path
    ) -> None:
        pin(places, "pc", pc.host_key)
        target = replace(pc.target(), identity=make_key(tmp_path / "stranger"))
        said = await refused(target, places, permanent=True)
        assert f"refuses the key {target.identity}" in said
        assert f"ssh-copy-id -p {pc.port} {pc.user}@127.0.0.1" in said

    async def test_a_pc_that_asks_for_a_password(self, tmp_path: Path, places: Places) -> None:
        with Sshd(tmp_path / "pw", passwords_only=True) as pc:
            pin(places, "pc", pc.host_key)
            said = await refused(pc.target(), places, permanent=True)
        assert "asks for a password, and relay-kernel logs in with keys only" in said
        assert "ssh-copy-id" in said

    async def test_no_key_at_all(self, pc: Sshd, places: Places, own_ssh: Path) -> None:
        pin(places, "pc", pc.host_key)
        said = await refused(TargetConfig("pc", ssh=pc.address), places, permanent=True)
        assert "refuses every key tried" in said

    async def test_an_identity_that_is_not_there(
        self, pc: Sshd, places: Places, tmp_path: Path
    ) -> None:
        pin(places, "pc", pc.host_key)
        target = replace(pc.target(), identity=tmp_path / "nowhere")
        said = await refused(target, places, permanent=True)
        assert said == f"pc: the identity file {tmp_path / 'nowhere'} does not exist"

    async def test_an_identity_that_is_no_key(
        self, pc: Sshd, places: Places, tmp_path: Path
    ) -> None:
        pin(places, "pc", pc.host_key)
        (tmp_path / "text").write_text("hello\n")
        target = replace(pc.target(), identity=tmp_path / "text")
        assert "is no private key" in await refused(target, places, permanent=True)

    async def test_a_passphrase_and_no_agent(
        self, pc: Sshd, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        pin(places, "pc", pc.host_key)
        target = replace(pc.target(), identity=make_key(tmp_path / "locked", "secret"))
        said = await refused(target, places, permanent=True)
        assert "has a passphrase and no ssh-agent runs here" in said

    async def test_an_ssh_config_that_is_wrong(
        self, pc: Sshd, places: Places, own_ssh: Path
    ) -> None:
        pin(places, "pc", pc.host_key)
        (own_ssh / "config").write_text("Port many\n")
        assert "ssh_config is wrong" in await refused(pc.target(), places, permanent=True)

    async def test_an_identity_of_ssh_config_that_is_not_there(
        self, pc: Sshd, places: Places, own_ssh: Path
    ) -> None:
        pin(places, "pc", pc.host_key)
        (own_ssh / "config").write_text(f"Host *\n  IdentityFile {own_ssh}/gone\n")
        target = replace(pc.target(), identity=None)
        said = await refused(target, places, permanent=True)
        assert f"the file {own_ssh}/gone cannot be read" in said


class TestChannels:
    async def test_bytes_go_both_ways_and_end(self, conn: Connection) -> None:
        channel = await conn.open_channel("exec cat")
        data = bytes(range(256)) * 16
        await channel.write(data)
        channel.write_eof()
        received = b""
        while more := await channel.read(65536):
            received += more
        assert received == data
        assert await channel.finish(5) == 0

    async def test_a_complaint_is_kept(self, conn: Connection) -> None:
        channel = await conn.open_channel("echo first >&2; echo second >&2; exit 4")
        assert await channel.read(1) == b""
        assert await channel.finish(5) == 4
        assert channel.complaint == "first"

    async def test_one_who_reads_nothing_stops_the_writer(self, conn: Connection) -> None:
        channel = await conn.open_channel("exec sleep 60")
        sent = 0

        async def write() -> None:
            nonlocal sent
            while True:
                await channel.write(bytes(65536))
                sent += 65536

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(write(), 1)
        assert sent < 8 << 20
        channel.close()

    async def test_sshd_s_limit_is_told_from_a_failure(
        self, tmp_path: Path, places: Places
    ) -> None:
        with Sshd(tmp_path / "few", options=("MaxSessions 1",)) as pc:
            pin(places, "pc", pc.host_key)
            conn = await connect(pc.target(), places)
            first = await conn.open_channel("exec cat")
            with pytest.raises(TooManyChannelsError, match="opens no further channel"):
                await conn.open_channel("exec cat")
            first.close()
            conn.abort()


@pytest.fixture
def agent(own_ssh: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An ssh-agent without keys."""
    path = str(own_ssh / "agent")
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", path)
    yield path
    process.terminate()
    process.wait(10)
    process.stdout.close()
