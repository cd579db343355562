"""The embedded SSH server by itself, dialled as the hub dials a PC."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from typing import TYPE_CHECKING

import asyncssh
import pytest

from relay_kernel.link.embedded import EmbeddedServer
from relay_kernel.link.errors import DialError
from relay_kernel.link.keys import make_key
from relay_kernel.link.pins import pin
from relay_kernel.link.ssh import Connection, connect
from relay_kernel.settings.config import TargetConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

BIG = 48 << 20


@pytest.fixture
async def server(tmp_path: Path, places: Places) -> AsyncIterator[EmbeddedServer]:
    pin(places, "pc", make_key(tmp_path / "host_key"))
    make_key(tmp_path / "me")
    server = EmbeddedServer(
        tmp_path / "host_key", tmp_path / "me.pub", home=tmp_path, env=dict(os.environ)
    )
    async with server:
        yield server


@pytest.fixture
async def conn(server: EmbeddedServer, tmp_path: Path, places: Places) -> AsyncIterator[Connection]:
    conn = await connect(target(server, tmp_path / "me"), places)
    yield conn
    conn.abort()


def target(server: EmbeddedServer, identity: Path) -> TargetConfig:
    return TargetConfig("pc", ssh=f"me@127.0.0.1:{server.port}", identity=identity)


def python(code: str) -> str:
    return f"\"{sys.executable}\" -c '{code}'"


async def test_a_command_says_how_it_ended(conn: Connection, tmp_path: Path) -> None:
    done = await conn.run("pwd; echo bad >&2; exit 7", timeout=10)
    assert (done.status, done.output, done.errors) == (7, f"{tmp_path}\n", "bad\n")
    assert (await conn.run("kill -9 $$", timeout=10)).status == 128 + 9


async def test_two_commands_at_once(conn: Connection, tmp_path: Path) -> None:
    """Each waits for the other, so neither could end if they ran one after the other."""
    os.mkfifo(tmp_path / "pipe")
    listens, speaks = await asyncio.gather(
        conn.run("cat pipe", timeout=10), conn.run("echo hello > pipe", timeout=10)
    )
    assert (listens.status, listens.output, speaks.status) == (0, "hello\n", 0)


async def test_much_goes_in_and_comes_back_whole(conn: Connection) -> None:
    data = os.urandom(1 << 20) * (BIG >> 20)
    channel = await conn.open_channel("cat")
    digest = hashlib.sha256()

    async def read() -> None:
        while part := await channel.read(1 << 20):
            digest.update(part)

    async def write() -> None:
        for start in range(0, len(data), 1 << 20):
            await channel.write(data[start : start + (1 << 20)])
        channel.write_eof()

    async with asyncio.timeout(60):
        await asyncio.gather(read(), write())
    assert await channel.finish(10) == 0
    assert digest.digest() == hashlib.sha256(data).digest()


async def test_the_end_of_a_big_output_is_not_lost(conn: Connection) -> None:
    code = f'import sys; sys.stdout.write("x" * {BIG >> 2} + "the end")'
    done = await conn.run(python(code), timeout=60)
    assert len(done.output) == (BIG >> 2) + 7
    assert done.output.endswith("the end")


async def test_a_writer_waits_while_nobody_reads(conn: Connection, tmp_path: Path) -> None:
    """Without back-pressure the PC would hold in memory whatever the link cannot take."""
    channel = await conn.open_channel(f"head -c {BIG} /dev/zero; echo > done")
    await channel.read(1)
    # Others are not held up by it; that these come and go also gives the writer all its time.
    for _ in range(20):
        assert (await conn.run("echo", timeout=10)).output == "\n"
    assert not (tmp_path / "done").exists()
    channel.close()


async def test_a_command_ends_with_its_channel(conn: Connection, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    channel = await conn.open_channel("exec 3> pipe; echo up; sleep 1000")
    with await asyncio.to_thread((tmp_path / "pipe").open, "rb") as pipe:
        assert await channel.read(10) == b"up\n"
        channel.close()
        # The end of the file is the end of the last process that holds the other end.
        assert await asyncio.wait_for(asyncio.to_thread(pipe.read), 10) == b""


async def test_what_fails_leaves_the_connection_alone(conn: Connection, tmp_path: Path) -> None:
    """An error in the handler of one command would else end all of them."""
    cat = await conn.open_channel("cat")
    (tmp_path.rename(tmp_path.with_name("away")))
    assert (await conn.run("true", timeout=10)).status == 255
    (tmp_path.with_name("away").rename(tmp_path))
    await cat.write(b"still here")
    assert await cat.read(100) == b"still here"
    cat.close()


async def test_another_key_is_refused(
    server: EmbeddedServer, tmp_path: Path, places: Places
) -> None:
    make_key(tmp_path / "stranger")
    with pytest.raises(DialError, match="key"):
        await connect(target(server, tmp_path / "stranger"), places)


async def test_nothing_but_commands(server: EmbeddedServer, tmp_path: Path) -> None:
    """No shell, no SFTP, no forwarding: the demo must not open a door on this machine."""
    async with asyncssh.connect(
        "127.0.0.1",
        server.port,
        known_hosts=None,
        config=None,
        client_keys=[str(tmp_path / "me")],
        agent_path=None,
    ) as raw:
        shell = await raw.run(check=False, stdin=asyncssh.DEVNULL)
        assert (shell.exit_status, shell.stderr) == (255, "only commands can be run here\n")
        with pytest.raises(asyncssh.ChannelOpenError):
            await raw.open_connection("127.0.0.1", server.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await raw.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 9)
        with pytest.raises(asyncssh.Error):
            await asyncio.wait_for(raw.start_sftp_client(), 10)
