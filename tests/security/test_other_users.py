"""Another user of the server or of the PC sees nothing and reaches nothing."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel import __version__
from relay_kernel.hub.client import open_stream
from relay_kernel.link.errors import DialError
from tests.agent.process import AgentProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.security.conftest import Stranger

#: What a stranger can do with each path: [what it could read, what it could connect to].
_TRY = """
result = []
for path in args:
    for attempt in ("list", "read", "connect", "write"):
        try:
            if attempt == "list":
                os.listdir(path)
            elif attempt == "read":
                os.close(os.open(path, os.O_RDONLY))
            elif attempt == "write":
                os.close(os.open(path, os.O_WRONLY))
            else:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(path)
        except OSError:
            continue
        result.append([attempt, path])
"""

#: What comes back on a socket after a greeting, until its end.
_TALK = """
with socket.socket(socket.AF_UNIX) as s:
    s.settimeout(10)
    s.connect(args[0])
    try:
        s.sendall(args[1].encode())
        result = ""
        while data := s.recv(4096):
            result += data.decode(errors="replace")
    except ConnectionError:
        result = ""
"""


@pytest.fixture
async def busy(places: Places, tmp_path: Path) -> AsyncIterator[Places]:
    """A server's hub and a PC's agent with a kernel, all in one home that others may enter."""
    places.config.parent.chmod(0o755)
    places.config.write_text("")
    with pytest.raises(DialError):
        # It has no such target; but now there is a hub.
        await open_stream(places, "nobody")
    async with AgentProcess(places, tmp_path) as agent:
        owner = agent.owner("book")
        await agent.opened(owner)
        await owner.start()
        await owner.run("import pathlib; secret = 'token'", 1)
        yield places


def everything(places: Places) -> list[Path]:
    """All that is there, folders and sockets too, but for the home itself and its settings."""
    found = [path for path in places.config.parent.rglob("*") if path != places.config]
    kinds = {stat.S_IFMT(path.lstat().st_mode) for path in found}
    assert kinds >= {stat.S_IFDIR, stat.S_IFREG, stat.S_IFSOCK}
    return found


async def test_nothing_can_be_read_or_reached(busy: Places, stranger: Stranger) -> None:
    """Sockets of the hub, the agent and the kernel; its connection file; chunks, logs, spool."""
    paths = everything(busy)
    names = {path.name for path in paths}
    assert {"hub.sock", "agent.sock", "hub.log", "agent.log", "store"} <= names
    assert any(path.suffix == ".json" and path.is_relative_to(busy.run) for path in paths)
    assert sum(path.is_socket() for path in paths) >= 4
    assert await asyncio.to_thread(stranger.run, _TRY, *paths) == []


async def test_the_attempts_would_work_for_the_owner(busy: Places) -> None:
    """Else the test above would pass with anything."""
    space = {
        "args": [str(path) for path in everything(busy)],
        "os": os,
        "socket": __import__("socket"),
    }
    exec(_TRY, space)
    result = space["result"]
    assert isinstance(result, list)
    assert {attempt for attempt, _ in result} == {"list", "read", "connect", "write"}


@pytest.mark.parametrize("which", ["hub", "agent"])
async def test_an_open_folder_is_not_enough(busy: Places, stranger: Stranger, which: str) -> None:
    """The second wall: whoever connects must run as the same user."""
    path = busy.hub_socket if which == "hub" else busy.agent_socket
    busy.run.chmod(0o755)
    path.chmod(0o777)
    answer = await asyncio.to_thread(stranger.run, _TALK, path, '{"open": "pc"}\n')
    assert answer == ""
    log = (busy.log / f"{which}.log").read_text()
    assert "another user" in log


@pytest.mark.parametrize("which", ["hub", "agent"])
async def test_a_socket_of_another_user_is_not_trusted(
    places: Places, stranger: Stranger, tmp_path: Path, which: str
) -> None:
    """Somebody who managed to put a socket there shall not get a notebook's session."""
    path = places.hub_socket if which == "hub" else places.agent_socket
    places.config.parent.chmod(0o755)
    places.run.chmod(0o777)
    holder = subprocess.Popen(
        [
            *(stranger.python, "-I", "-c"),
            f"import socket; s = socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen();"
            "import os; os.chmod(s.getsockname(), 0o777); print(flush=True);"
            "c, _ = s.accept(); print(c.recv(99))",
        ],
        **stranger.identity,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    if which == "hub":
        with pytest.raises(DialError, match="belongs to another user"):
            await open_stream(places, "pc")
        done = subprocess.run(
            [sys.executable, "-m", "relay_kernel.cli", "gateway", "pc"],
            env={**os.environ, "SSH_ORIGINAL_COMMAND": "relay-join line"},
            input="hello",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "belongs to another user" in done.stderr
    else:
        # The folder is ours: our own agent puts its socket in the place of that one.
        async with AgentProcess(places, tmp_path) as agent:
            assert await agent.opened(agent.owner("book")) == __version__
    said, _ = await asyncio.to_thread(holder.communicate, timeout=10)
    assert said == "b''\n"
