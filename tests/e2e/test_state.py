"""What the state plane promises beyond plain variables, over a real R and a PC that is lost."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.store.chunks import ABOUT, MANIFEST
from tests.e2e.rig import SOON
from tests.e2e.test_healing import everything_is_safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.settings.paths import Places
    from tests.e2e.rig import Notebook, Pc
    from tests.sshd import Sshd

pytestmark = pytest.mark.sshd

RECIPE = """
import relay_kernel, sqlite3
@relay_kernel.recipe("conn")
def reopen():
    return sqlite3.connect(":memory:")
conn = reopen()
ask = lambda: conn.execute("select 41 + 1").fetchone()[0]
"""


async def test_a_recipe_makes_what_the_pc_had(notebook: Notebook, desktop: Pc) -> None:
    await notebook.run(RECIPE)
    await everything_is_safe(notebook)
    desktop.lose_power()
    result = await notebook.run("ask()")
    assert (result.target, result.value) == ("local", "42"), result.error


async def test_a_value_is_made_again_on_request_once_the_pc_is_lost(
    notebook: Notebook, desktop: Pc
) -> None:
    """The cells that made it are known here, whoever ran them."""
    await notebook.run("import sqlite3; path = ':memory:'")
    await notebook.run("conn = sqlite3.connect(path)")
    await everything_is_safe(notebook)
    desktop.lose_power()
    refused = await notebook.run("conn.execute('select 1')")
    assert refused.target == "local"
    assert refused.error.startswith("LeftBehindError: ")
    assert "%relay rebuild conn" in refused.error
    made = await notebook.run("%relay rebuild conn")
    assert made.notices.endswith(" runs again to make conn\n")
    assert (await notebook.run("conn.execute('select 7').fetchone()")).value == "(7,)"


async def test_an_open_file_goes_on_at_its_place(
    notebook: Notebook, desktop: Pc, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is in the home folder of each machine, under the same name."""
    server_home = tmp_path_factory.mktemp("home")
    await notebook.run(f"%%relay local\nimport os; os.environ['HOME'] = {str(server_home)!r}")
    home = (await notebook.run("%%relay pc\nprint(os.path.expanduser('~'))")).text().strip()
    assert home != str(server_home)
    for folder in (home, server_home):
        with open(os.path.join(folder, "lines.txt"), "w") as file:
            file.writelines(f"line {number}\n" for number in range(1000))
    opened = "f = open(os.path.expanduser('~/lines.txt')); [f.readline() for _ in range(7)][-1]"
    assert (await notebook.run(opened)).value == r"'line 6\n'"
    await everything_is_safe(notebook)
    desktop.lose_power()
    result = await notebook.run("f.readline(), f.name")
    assert result.target == "local"
    assert result.value == rf"('line 7\n', '{server_home}/lines.txt')"


WIDGET = """
from comm import create_comm
value = 0
def on_msg(message):
    global value
    value = message["content"]["data"]["value"]
comm = create_comm(target_name="slider")
comm.on_msg(on_msg)
"""


class TestBesideTheCells:
    """What a widget or a subshell changes is no cell's doing, and is lost with the PC as well."""

    async def test_what_a_widget_changed(
        self, notebook: Notebook, desktop: Pc, server: Places
    ) -> None:
        result = await notebook.run(WIDGET)
        (opened,) = [m for m in result.messages if m["msg_type"] == "comm_open"]
        before = await last_is_safe(notebook, server)
        content = {"comm_id": opened["content"]["comm_id"], "data": {"value": 39}}
        message = notebook.client.session.msg("comm_msg", content)
        notebook.client.shell_channel.send(message)
        await saved_since(before, server)
        desktop.lose_power()
        result = await notebook.run("value")
        assert (result.target, result.value) == ("local", "39")

    async def test_what_a_subshell_changed(
        self, notebook: Notebook, desktop: Pc, server: Places
    ) -> None:
        await notebook.run("value = 0")
        before = await last_is_safe(notebook, server)
        reply = await notebook.ask("create_subshell_request", {}, channel="control")
        content = {"code": "value = 39", "silent": False}
        message = notebook.client.session.msg("execute_request", content)
        message["header"]["subshell_id"] = reply["content"]["subshell_id"]
        notebook.client.shell_channel.send(message)
        await saved_since(before, server)
        desktop.lose_power()
        result = await notebook.run("value")
        assert (result.target, result.value) == ("local", "39")

    async def test_moves_along_with_a_switch_right_behind_it(self, notebook: Notebook) -> None:
        await notebook.run("value = 0")
        await everything_is_safe(notebook)
        await notebook.run("%%relay local\nvalue")
        await notebook.run("%%relay pc\nvalue")
        reply = await notebook.ask("create_subshell_request", {}, channel="control")
        subshell = reply["content"]["subshell_id"]
        for value in range(1, 4):
            await on_subshell(notebook, subshell, f"value = {value}")
            result = await notebook.run("%%relay local\nvalue")
            assert (result.target, result.value, result.notices) == ("local", str(value), "")
            await notebook.run("%%relay pc\nvalue")


async def on_subshell(notebook: Notebook, subshell: str, code: str) -> None:
    """Run a cell there; return when it is idle, so that all is known which comes before."""
    message = notebook.client.session.msg("execute_request", {"code": code, "silent": False})
    message["header"]["subshell_id"] = subshell
    ident = message["header"]["msg_id"]

    def is_idle(said: dict[str, Any]) -> bool:
        of = said["parent_header"].get("msg_id") == ident
        return of and said["content"].get("execution_state") == "idle"

    notebook.client.shell_channel.send(message)
    async with asyncio.timeout(SOON):
        while not any(map(is_idle, notebook.others)):
            await asyncio.sleep(0.01)


async def last_is_safe(notebook: Notebook, server: Places) -> bytes:
    """Wait until the state after one more cell is safe; return its manifest."""
    cell = (await notebook.run("pass")).reply["metadata"]["relay"]["cell"]
    (about,) = server.store.glob(f"*/{ABOUT}")
    # It is written first, and the manifest behind it.
    state = about.with_name(MANIFEST)
    async with asyncio.timeout(SOON):
        while (
            json.loads(about.read_bytes())["cell"] != cell
            or state.stat().st_mtime_ns < about.stat().st_mtime_ns
        ):
            await asyncio.sleep(0.02)
    return manifest(server)


def manifest(server: Places) -> bytes:
    """The newest state that is safe."""
    (found,) = server.store.glob(f"*/{MANIFEST}")
    return found.read_bytes()


async def saved_since(before: bytes, server: Places) -> None:
    """Wait until another state is safe."""
    async with asyncio.timeout(SOON):
        while manifest(server) == before:
            await asyncio.sleep(0.02)


@pytest.fixture
def tight(pc: Sshd) -> Iterator[None]:
    """The PC has a disk of 24 MiB for what is ours."""
    if os.getuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = pc.relay_home / "state"
    disk.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", "size=24m,mode=700"]
    subprocess.run(["mount", *options, "tmpfs", str(disk)], check=True)
    yield
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_full_disk_on_the_pc_is_told_and_got_over(
    tight: None, notebook: Notebook, desktop: Pc
) -> None:
    """The cells go on there, and what was kept before is not spoiled."""
    await notebook.run("import os; kept = [1]")
    await everything_is_safe(notebook)
    assert (await notebook.run("big = os.urandom(40 << 20)")).status == "ok"
    told = ""
    async with asyncio.timeout(SOON):
        while not told:
            result = await notebook.run("kept.append(len(kept) + 1)")
            assert (result.target, result.status) == ("pc", "ok")
            told = result.notices
    assert "are not safe: the disk refused: No space left on device" in told
    assert len(told.splitlines()) == 1
    await notebook.run("del big; wanted = list(kept)")
    await everything_is_safe(notebook)
    desktop.lose_power()
    result = await notebook.run("kept == wanted and kept[:2] == [1, 2]")
    assert (result.target, result.value) == ("local", "True"), result.error
