"""What a broken or hostile peer sends ends its own link with a line, and harms nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel import __version__
from relay_kernel.hub.client import open_stream
from relay_kernel.link.errors import DialError
from relay_kernel.settings.edit import add_target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relay_kernel.settings.paths import Places

LINE = json.dumps({"gateway": "pc", "wish": "relay-join line"}).encode() + b"\n"
HELLO = json.dumps({"version": __version__, "host": "desk", "boot_id": "b"}).encode() + b"\n"


@pytest.fixture
async def hub(places: Places) -> AsyncIterator[Places]:
    """A hub that knows of a PC which dials in."""
    add_target(places.config, "pc", dials_in=True)
    with pytest.raises(DialError):
        await open_stream(places, "pc")
    yield places
    assert "Traceback" not in places.hub_log.read_text()


async def answered(places: Places, *sent: bytes, within: float = 10.0) -> bytes:
    """What the hub says until it hangs up."""
    reader, writer = await asyncio.open_unix_connection(places.hub_socket)
    said = b""
    try:
        for data in sent:
            writer.write(data)
        async with asyncio.timeout(within):
            while data := await reader.read(65536):
                said += data
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return said


async def logged(places: Places, text: str) -> None:
    """Wait until the hub has said something."""
    async with asyncio.timeout(10):
        while text not in places.hub_log.read_text():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "wish",
    [
        *(b"\n", b"hello\n", b"\xff\xfe\n", b"[]\n", b"3\n", b"null\n", b"x" * 1_000_000),
        *(b"[" * 50_000 + b"\n", b'{"open": "pc", "patience": 1e999, "version": []}\n'),
    ],
    ids=["empty", "text", "bytes", "list", "number", "null", "endless", "deep", "odd"],
)
async def test_a_wish_that_is_none(hub: Places, wish: bytes) -> None:
    said = await answered(hub, wish)
    if said:
        assert "\n" not in json.loads(said)["error"]
    # It goes on for the others.
    with pytest.raises(DialError, match="dials in, and is not there"):
        await open_stream(hub, "pc")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"x" * 100_000, "an endless line"),
        (b"nonsense\n", "is no JSON"),
        (b"[1]\n", "is no object"),
        (b"[" * 9000 + b"\n", "is no JSON"),
        (b"", "nothing was heard for 4 s"),
    ],
    ids=["endless", "text", "list", "deep", "silent"],
)
@pytest.mark.parametrize("greeted", [False, True], ids=["at once", "after the greeting"])
async def test_a_pc_s_line_that_is_broken(
    hub: Places, line: bytes, why: str, greeted: bool
) -> None:
    said = await answered(hub, LINE, HELLO if greeted else b"", line)
    assert said.startswith(b'{"welcome"' if greeted else b"")
    await logged(hub, why)


async def test_a_stream_that_nobody_asked_for(hub: Places) -> None:
    wish = {"gateway": "pc", "wish": "relay-join stream 0123456789abcdef"}
    assert await answered(hub, json.dumps(wish).encode() + b"\n") == b""
    await logged(hub, "opened a stream that nobody waits for")


async def test_a_gateway_for_a_target_that_does_not_dial_in(hub: Places) -> None:
    add_target(hub.config, "desk", ssh="me@desk")
    said = await answered(hub, LINE.replace(b"pc", b"desk"))
    assert "desk does not dial in here" in json.loads(said)["error"]


@pytest.mark.parametrize("wish", ["", "id", "relay-join line x", "relay-join stream ../x", "\0"])
def test_the_gateway_passes_on_nothing_else(places: Places, wish: str) -> None:
    env = {**os.environ, "SSH_ORIGINAL_COMMAND": wish.replace("\0", "\x01")}
    done = subprocess.run(
        [sys.executable, "-m", "relay_kernel.cli", "gateway", "pc"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "this key opens relay's gateway and nothing else: use relay join\n"
    assert not places.hub_socket.exists()
