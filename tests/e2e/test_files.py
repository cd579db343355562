"""A notebook whose folder is the same on both machines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.core.overview import COMM
from relay_kernel.kernel import barrier
from tests.e2e.rig import SOON
from tests.e2e.test_healing import everything_is_safe
from tests.files.duo import write

if TYPE_CHECKING:
    from tests.e2e.book import Book
    from tests.e2e.rig import Notebook

pytestmark = pytest.mark.sshd

MIB = 1 << 20


async def test_a_cell_sees_the_files_that_were_there_when_it_was_sent(book: Book) -> None:
    for number in range(5):
        write(book.here / "module.py", f"value = {number}\n")
        code = "exec(open('module.py').read())\nvalue"
        cell = await book.notebook.run(code)
        assert (cell.value, cell.target) == (str(number), "pc")
        write(book.there / "result.txt", f"found {number}")
        cell = await book.notebook.run("%%relay local\nopen('result.txt').read()")
        assert (cell.value, cell.target) == (repr(f"found {number}"), "local")
        assert cell.notices == ""


async def test_what_a_cell_writes_follows_it(book: Book) -> None:
    await book.notebook.run("open('made.txt', 'w').write('on the pc')")
    async with asyncio.timeout(SOON):
        while not (book.here / "made.txt").exists():
            await asyncio.sleep(0.005)
    assert (book.here / "made.txt").read_text() == "on the pc"


async def test_a_checkpoint_appears_while_its_cell_runs(book: Book) -> None:
    code = f"""
import os, time
with open("model.tmp", "wb") as file:
    for part in range(8):
        file.write(bytes([part]) * {MIB}); file.flush(); time.sleep(0.05)
os.replace("model.tmp", "model.pt")
print("saved", flush=True)
while not os.path.exists("go on"): time.sleep(0.02)
"""
    cell = book.notebook.send(code)
    await cell.shows("saved")
    async with asyncio.timeout(SOON):
        while not (book.here / "model.pt").exists():
            await asyncio.sleep(0.005)
    assert (book.here / "model.pt").read_bytes() == b"".join(bytes([n]) * MIB for n in range(8))
    # And the cell hears of a file that was written here meanwhile.
    write(book.here / "go on", "")
    assert (await cell.end()).status == "ok"


async def test_a_checkpoint_outlives_its_machine(book: Book) -> None:
    await book.notebook.run("import os\nopen('weights', 'wb').write(os.urandom(1 << 20)) and None")
    wait = await book.notebook.run("%relay files wait")
    assert wait.text() == "equal\n"
    book.desktop.lose_power()
    cell = await book.notebook.run("len(open('weights', 'rb').read())")
    assert (cell.value, cell.target) == (str(MIB), "local")
    write(book.here / "weights", "newer")
    book.desktop.boot()
    cell = await book.notebook.run_on("pc", "open('weights').read()")
    assert cell.value == "'newer'"


async def test_an_open_file_goes_on_where_it_was(book: Book) -> None:
    """Its path is the same on both machines, and so is what was written: handles follow."""
    await book.notebook.run(
        "log = open('log.txt', 'w'); log.write('one\\n')\n"
        "table = open('table.bin', 'w+b'); table.write(b'0123456789'); table.seek(4)\n"
        "read = open('log.txt', encoding='utf-8'); log.flush(); read.readline()"
    )
    await book.notebook.run("log.write('two\\n') and None")
    assert (await book.notebook.run("%relay files wait")).text() == "equal\n"
    await everything_is_safe(book.notebook)
    book.desktop.lose_power()
    cell = await book.notebook.run(
        "[(f.mode, f.tell(), f.name) for f in (log, table, read)], table.read(2), read.readline()"
    )
    assert cell.target == "local", cell.error
    handles, table, line = eval(cell.value)
    assert handles == [("w", 8, "log.txt"), ("rb+", 4, "table.bin"), ("r", 4, "log.txt")]
    assert (table, line) == (b"45", "two\n")
    await book.notebook.run("log.write('three\\n'); log.close(); table.write(b'xx'); table.close()")
    assert (book.here / "log.txt").read_text() == "one\ntwo\nthree\n"
    assert (book.here / "table.bin").read_bytes() == b"012345xx89"


async def test_a_loss_behind_a_cell_that_waited_for_files(book: Book) -> None:
    """It is run again, silently, to have its values; its machine is not waited for."""
    code = """
%relay files wait
import time
class Slow:
    def __getstate__(self): time.sleep(2); return {}
slow, value = Slow(), 7
"""
    assert (await book.notebook.run(code.strip())).target == "pc"
    book.desktop.lose_power()
    cell = await book.notebook.run("value")
    assert (cell.value, cell.target) == ("7", "local")
    cell = await book.notebook.run("%relay files wait\nvalue")
    assert cell.text() == "not linked, so not waited for: pc\n"
    assert cell.value == "7"


async def test_what_takes_long_is_told_once_and_not_waited_for(book: Book) -> None:
    await book.notebook.run("%relay files pause")
    write(book.here / "late", "x")
    cell = await book.notebook.run("1")
    assert "files that are not at pc yet as they are elsewhere: late (1 B, paused" in cell.notices
    cell = await book.notebook.run("2")
    assert cell.notices == ""
    assert cell.seconds < barrier.BOUND
    assert "create ~/work/late (1 B)" in (await book.notebook.run("%relay files plan")).text()
    assert "paused by you" in (await book.notebook.run("%relay files")).text()
    await book.notebook.run("%relay files resume")
    await book.notebook.run("%relay files wait")
    assert (book.there / "late").read_text() == "x"


async def test_stop_ends_the_waiting_for_files(book: Book) -> None:
    await book.notebook.run("%relay files pause")
    write(book.here / "late", "x")
    cell = book.notebook.send("%relay files wait\nwhile True: pass")
    await cell.shows("waiting until all files are equal", name="stderr")
    await book.notebook.ask("interrupt_request", {}, "control")
    result = await cell.end()
    assert result.error.startswith("KeyboardInterrupt")
    assert (await book.notebook.run("1 + 1")).value == "2"


def files_told(notebook: Notebook) -> list[dict[str, Any]]:
    """What R has said of files by itself to whoever looks, the newest last."""
    pushed = [m["content"]["data"] for m in notebook.others if m["msg_type"] == "comm_msg"]
    return [data["files"] for data in pushed]


async def test_a_conflict_is_shown_in_the_notebook(book: Book) -> None:
    client = book.notebook.client
    look = {"comm_id": COMM, "data": {"do": "look"}}
    client.shell_channel.send(client.session.msg("comm_msg", look))
    write(book.here / "both", "same")
    await book.notebook.run("%relay files wait")
    await book.notebook.run("%relay files pause")
    write(book.here / "both", "the server's")
    write(book.there / "both", "the pc's")
    await book.notebook.run("%relay files resume")
    await book.notebook.run("%relay files wait")
    shown = (await book.notebook.run("%relay files conflicts")).text()
    assert "~/work/both: the version of pc is " in shown
    names = sorted(path.name for path in book.here.glob("both*"))
    assert len(names) == 2
    contents = {(book.here / name).read_text() for name in names}
    assert contents == {"the server's", "the pc's"}
    assert {(book.there / name).read_text() for name in names} == contents
    (copy,) = set(names) - {"both"}
    async with asyncio.timeout(SOON):
        while not any(said["conflicts"] for said in files_told(book.notebook)):
            await asyncio.sleep(0.05)
    told = files_told(book.notebook)[-1]
    assert told["is_kept"]
    assert told["conflicts_total"] == 1
    (conflict,) = told["conflicts"]
    assert (conflict["path"], conflict["copy"]) == ("work/both", f"work/{copy}")
    assert conflict["target"] == "pc"
