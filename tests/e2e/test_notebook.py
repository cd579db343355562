"""What a user sees of R: on the server alone, on the PC, and across a switch."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay_kernel import __version__
from relay_kernel.cli.status import collect
from relay_kernel.settings.paths import find_places
from tests.e2e.rig import SOON, Notebook

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places
    from tests.e2e.rig import Pc


class TestAlone:
    async def test_a_cell_is_busy_once_and_idle_once(self, alone: Notebook) -> None:
        result = await alone.run("print('hi'); 6 * 7")
        assert result.types == ["status", "execute_input", "stream", "execute_result", "status"]
        assert (result.text(), result.value, result.count) == ("hi\n", "42", 1)
        assert result.relay == {
            "target": "local",
            "epoch": 1,
            "cell": result.relay["cell"],
            "reason": "preferred",
        }

    async def test_the_starting_status_comes_once(self, alone: Notebook) -> None:
        await alone.run("1")
        states = [
            m["content"]["execution_state"]
            for m in alone.others
            if m["msg_type"] == "status" and not m["parent_header"]
        ]
        assert states.count("starting") <= 1

    async def test_an_error_stops_what_is_queued_and_questions_keep_their_place(
        self, alone: Notebook
    ) -> None:
        await alone.run("import jedi; jedi.Script('imp').complete(1, 3)")
        cells = [alone.send(code) for code in ("1/0", "x = 1", "x = 2")]
        completed = await alone.ask("complete_request", {"code": "imp", "cursor_pos": 3})
        results = [await cell.end() for cell in cells]
        assert [result.status for result in results] == ["error", "aborted", "aborted"]
        assert "import" in completed["content"]["matches"]
        assert (await alone.run("'x' in globals()")).value == "False"

    async def test_counts_are_those_of_one_ipykernel(self, alone: Notebook) -> None:
        first = await alone.run("1")
        await alone.run("x = 5", silent=True)
        unstored = await alone.run("2", store_history=False)
        last = await alone.run("x, _")
        assert first.count == 1
        assert unstored.types.count("execute_result") == 1
        assert (last.count, last.value) == (2, "(5, 2)")

    async def test_input_reaches_the_one_who_runs(self, alone: Notebook) -> None:
        alone.stdin = lambda message: message["content"]["prompt"].upper()
        assert (await alone.run("input('name? ')")).value == "'NAME? '"

    async def test_interrupt(self, alone: Notebook) -> None:
        cell = alone.send("print('on')\nimport time; time.sleep(60)")
        await cell.shows("on")
        await alone.manager.interrupt_kernel()
        assert (await cell.end(within=5)).reply["content"]["ename"] == "KeyboardInterrupt"

    async def test_a_comm_with_buffers_goes_both_ways(self, alone: Notebook) -> None:
        code = """
from comm import create_comm
got = []
comm = create_comm(target_name='t', buffers=[b'', b'x', bytes(2_000_000)])
comm.on_msg(got.append)
"""
        result = await alone.run(code)
        (opened,) = [m for m in result.messages if m["msg_type"] == "comm_open"]
        assert [len(buffer) for buffer in opened["buffers"]] == [0, 1, 2_000_000]
        content = {"comm_id": opened["content"]["comm_id"], "data": {"v": 1}}
        message = alone.client.session.msg("comm_msg", content)
        socket = alone.client.shell_channel.socket
        alone.client.session.send(socket, message, buffers=[b"abc"])
        seen = await alone.run("[(m['content']['data'], bytes(m['buffers'][0])) for m in got]")
        assert seen.value == "[({'v': 1}, b'abc')]"

    async def test_the_kernel_sees_the_front_ends_own_message(self, alone: Notebook) -> None:
        cell = alone.send("get_ipython().kernel.get_parent()['header']['msg_id']")
        assert (await cell.end()).value == repr(cell.id)

    async def test_the_status_of_a_notebook_at_rest_says_that_all_is_safe(
        self, alone: Notebook
    ) -> None:
        """The disk is slower than the status file, so it is written once more then."""
        for _ in range(20):
            cell = (await alone.run("x = 1")).relay["cell"]
            async with asyncio.timeout(SOON):
                while collect(find_places())["kernels"][0]["safe_cell"] < cell:
                    await asyncio.sleep(0.01)

    async def test_front_ends_may_sign_in_another_way(self, server: Places, tmp_path: Path) -> None:
        """The server's kernel signs for front ends only where it does so as they do."""
        book = Notebook(tmp_path)
        book.manager.session.signature_scheme = "hmac-sha512"
        async with book:
            assert (await book.run("6 * 7")).value == "42"

    async def test_a_kernel_that_kills_itself_ends_its_cell(self, alone: Notebook) -> None:
        await alone.run("x = [1]")
        result = await alone.run("import os; os.kill(os.getpid(), 9)")
        assert result.reply["content"]["ename"] == "RelayTargetLost"
        assert "signal 9" in result.error
        assert (await alone.run("x.append(2); x")).value == "[1, 2]"

    async def test_nothing_of_ours_is_in_the_namespace(self, alone: Notebook) -> None:
        ours = await alone.run("sorted(n for n in globals() if 'relay' in n.lower())")
        assert ours.value == "[]"
        assert (await alone.run("len(In)")).value == "3"

    async def test_shutdown_leaves_no_process_and_no_file(self, alone: Notebook) -> None:
        pid = int((await alone.run("import os; os.getpid()")).value)
        places = find_places()
        assert list(places.store.iterdir())
        await alone.manager.shutdown_kernel()
        assert not Path(f"/proc/{pid}").exists()
        assert not list(places.store.iterdir())
        assert not list(places.kernels.iterdir())
        assert not list(places.run.glob("k*/*"))

    async def test_a_front_end_that_does_not_read_misses_nothing_and_stops_nobody(
        self, alone: Notebook
    ) -> None:
        slow = alone.manager.client()
        slow.start_channels(shell=False, stdin=False, hb=False, control=False)
        assert (await slow.get_iopub_msg(timeout=10))["msg_type"] == "iopub_welcome"
        await alone.run("for n in range(6000): print(n, flush=True)")
        wanted = "".join(f"{n}\n" for n in range(6000))
        text = ""
        while len(text) < len(wanted):
            message = await slow.get_iopub_msg(timeout=10)
            text += message["content"].get("text", "")
        slow.stop_channels()
        assert text == wanted

    async def test_restart_begins_anew(self, alone: Notebook) -> None:
        await alone.run("x = 1")
        await alone.restart()
        result = await alone.run("'x' in globals()")
        assert (result.value, result.count) == ("False", 1)


class TestMagics:
    async def test_relay_shows_where_things_are(self, alone: Notebook) -> None:
        await alone.run("x = 1")
        text = (await alone.run("%relay")).said
        assert "local" in text
        assert "runs the cells" in text
        assert "on_loss: rerun" in text

    async def test_a_magic_is_a_cell_like_any_other(self, alone: Notebook) -> None:
        first = await alone.run("%relay auto")
        second = await alone.run("get_ipython().history_manager.input_hist_raw[1], len(In)")
        assert (first.count, second.count) == (1, 2)
        assert second.value == "('%relay auto', 3)"

    async def test_it_mixes_with_code(self, alone: Notebook) -> None:
        result = await alone.run("x = 1\nif x:\n    %relay auto\nprint(x)")
        assert result.status == "ok"
        assert result.text().endswith("1\n")

    async def test_vars_names_what_stays_behind(self, alone: Notebook) -> None:
        await alone.run("good = 1; bad = (i for i in range(3))")
        text = (await alone.run("%relay vars")).said
        assert "good" in text
        assert "bad (generator)" in text

    async def test_an_unknown_target_is_named(self, alone: Notebook) -> None:
        line = await alone.run("%relay mars")
        assert "mars" in line.text("stderr")
        assert "local" in line.text("stderr")
        cell = await alone.run("%%relay mars\nx = 1")
        assert cell.status == "error"
        assert "mars" in cell.error
        assert (await alone.run("'x' in globals()")).value == "False"

    async def test_help(self, alone: Notebook) -> None:
        assert "%relay TARGET" in (await alone.run("%relay?")).text()


async def standby_holds(cell: int) -> None:
    """Wait until the server's kernel holds the state after a cell."""
    async with asyncio.timeout(SOON):
        while True:
            (kernel,) = collect(find_places())["kernels"]
            standby = kernel["standby"].get("local", {"applied_cell": 0})
            if standby["applied_cell"] >= cell:
                return
            await asyncio.sleep(0.02)


@pytest.mark.sshd
class TestSwitch:
    async def test_forced_to_and_fro(self, notebook: Notebook, desktop: Pc) -> None:
        assert (await notebook.run("%relay local")).target == "pc"
        assert (await notebook.run("import os; here = os.getpid()")).target == "local"
        once = await notebook.run("%%relay pc\nthere = os.getpid()\nthere != here")
        assert (once.target, once.value) == ("pc", "True")
        assert once.relay["reason"] == "asked for by %%relay pc"
        assert (await notebook.run("there")).target == "local"
        await notebook.run("%relay auto")
        assert (await notebook.run("there == os.getpid()")).value == "True"

    async def test_values_aliases_functions_and_classes_move(self, notebook: Notebook) -> None:
        await notebook.run("""
x = 1
def f(): return x
def bump():
    global x
    x += 100
class P:
    n = 0
    def __init__(self): self.items = []
p = P(); same = p.items; gone = 1
import numpy as np
a = np.arange(6.0); v = a[2:4]
""")
        await notebook.run("P.n = 5; same.append('pc'); del gone; v[0] = 9")
        await notebook.run("%relay local")
        moved = await notebook.run(
            "x = 42; bump(); same.append('local'); a[3] = 7\n"
            "f(), p.items, P.n, type(p) is P, 'gone' in globals(), v.tolist()"
        )
        assert moved.target == "local"
        assert moved.value == "(142, ['pc', 'local'], 5, True, False, [9.0, 7.0])"
        await notebook.run("%relay auto")
        back = await notebook.run("bump(); v[1] = 8; f(), p.items is same, isinstance(p, P), a[3]")
        assert back.target == "pc"
        assert back.value == "(242, True, True, np.float64(8.0))"

    async def test_counts_in_and_out_go_on(self, notebook: Notebook) -> None:
        await notebook.run("[1]")
        before = await notebook.run("y = _; y")
        await notebook.run("%relay local")
        last = await notebook.run("_ is y")
        assert (last.target, last.value) == ("local", "True")
        assert (await notebook.run("list(Out) == sorted(Out)")).value == "True"
        after = await notebook.run(f"_oh[{before.count}] is y, In[{before.count}]")
        assert after.count == before.count + 4
        assert after.target == "local"
        assert after.value == "(True, 'y = _; y')"

    async def test_a_cell_that_raised_has_changed_things(self, notebook: Notebook) -> None:
        await notebook.run("x = 1")
        await notebook.run("x = 2; 1/0")
        await notebook.run("%relay local")
        result = await notebook.run("x")
        assert (result.target, result.value) == ("local", "2")

    async def test_a_large_array_arrives_whole(self, notebook: Notebook) -> None:
        await notebook.run("import numpy as np; big = np.arange(4_000_000); big[7] = -1")
        await notebook.run("%relay local")
        result = await notebook.run("int(big.sum()), int(big[7]), big.flags.writeable")
        assert result.value == str((sum(range(4_000_000)) - 8, -1, True))

    async def test_what_stays_behind_says_so_when_used(self, notebook: Notebook) -> None:
        await notebook.run("g = (i for i in 'ab')")
        await notebook.run("%relay local")
        used = await notebook.run("next(g)")
        assert used.status == "error"
        assert "g" in used.error
        await notebook.run("%relay auto")
        assert (await notebook.run("next(g)")).value == "'a'"

    async def test_questions_are_answered_while_the_pc_is_busy(self, notebook: Notebook) -> None:
        defined = await notebook.run("a_long_name = 1")
        await standby_holds(defined.relay["cell"])
        cell = notebook.send("import time; time.sleep(2); print('done')")
        reply = await notebook.ask("complete_request", {"code": "a_lon", "cursor_pos": 5})
        assert not cell.reply.done()
        assert "a_long_name" in reply["content"]["matches"]
        assert (await cell.end()).text() == "done\n"

    async def test_its_sockets_are_private(self, notebook: Notebook, desktop: Pc) -> None:
        (folder,) = (desktop.sshd.relay_home / "run").glob("a*/")
        assert stat.S_IMODE(folder.stat().st_mode) & 0o777 == 0o700
        (file,) = folder.glob("*.json")
        info = json.loads(file.read_text())
        assert info["transport"] == "ipc"
        channels = sorted(path.name for path in folder.iterdir() if path.is_socket())
        assert len(channels) == 5
        assert all(Path(info["ip"]).name in name for name in channels)

    async def test_status_as_json(self, notebook: Notebook) -> None:
        cell = (await notebook.run("x = 1")).relay["cell"]
        # It is written soon, not at once.
        async with asyncio.timeout(SOON):
            while collect(find_places())["kernels"][0]["cell"] < cell:
                await asyncio.sleep(0.01)
        out = subprocess.run(
            [sys.executable, "-m", "relay_kernel.cli", "status", "--json"],
            capture_output=True,
            check=True,
        ).stdout
        status = json.loads(out)
        pc = status["targets"]["pc"]
        assert (pc["phase"], pc["agent_version"]) == ("ready", __version__)
        assert pc["rtt_ms"] > 0
        assert pc["host"] == os.uname().nodename
        assert pc["boot_id"]
        (kernel,) = status["kernels"]
        assert (kernel["spec"], kernel["primary"]) == ("python3", "pc")
        assert kernel["cell"] == cell
        assert set(kernel) == {"id", "spec", "primary", "epoch", "cell", "safe_cell", "standby"}
        assert status["files"] == {}
        assert status["envs"] == {}


async def test_wait_holds_the_cell_until_all_is_safe(alone: Notebook) -> None:
    await alone.run("import os; data = os.urandom(1 << 24)")
    head = (await alone.run("1")).relay["cell"]
    waited = await alone.run("%relay wait")
    assert waited.text().startswith(f"safe up to cell {head} of {head}\n")
