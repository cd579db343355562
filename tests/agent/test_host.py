"""One kernel and its agent: what goes in, what comes out, and what is said when it cannot."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from relay_kernel.wire.kernel_frames import unpack
from relay_kernel.wire.message import Message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.conftest import Hosted


def kinds(owner: Hosted) -> list[str]:
    """Of the reports that nobody took yet."""
    return [report.kind for report in owner.reports]


def published(owner: Hosted) -> list[str]:
    """Types of the IOPub messages in the reports that nobody took yet."""
    messages = [unpack(report) for report in owner.reports if report.kind == "frames"]
    return [message.type for message in messages if message.channel == "iopub"]


def names(captured: Message) -> set[str]:
    """The names in a captured state."""
    return set(json.loads(bytes(captured.parts[0]))["names"])


def printed(owner: Hosted) -> str:
    """What was printed, of the reports that nobody took yet."""
    messages = [unpack(report) for report in owner.reports if report.kind == "frames"]
    return "".join(m.content["text"] for m in messages if m.type == "stream")


def kernelspec(folder: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    """Install a kernelspec ``odd``."""
    home = folder / "jupyter" / "kernels" / "odd"
    home.mkdir(parents=True)
    spec = {"argv": argv, "display_name": "Odd", "language": "python"}
    (home / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))


class TestCells:
    async def test_cells_run_and_each_is_captured(self, owner: Hosted) -> None:
        started = await owner.start()
        assert started.head["info"]["implementation"] == "ipython"
        assert psutil.pid_exists(started.head["pid"])

        id_ = owner.execute("x = 1\nprint('hello')", cell=1)
        # IOPub and shell are two sockets: either may come first.
        await owner.until(lambda: "captured" in kinds(owner) and len(published(owner)) == 4)
        assert published(owner) == ["status", "execute_input", "stream", "status"]
        of_cell = [unpack(r) for r in owner.reports if r.kind == "frames"]
        assert {message.parent_id for message in of_cell} == {id_}
        (reply,) = [message for message in of_cell if message.channel == "shell"]
        assert reply.ids == [b"front end"]
        captured = await owner.report("captured")
        assert (captured.head["cell"], captured.head["epoch"]) == (1, 1)
        assert names(captured) == {"x"}

        reply, captured = await owner.run("y = 2\nraise ValueError('no')", cell=2)
        assert reply.content["ename"] == "ValueError"
        assert (captured.head["cell"], names(captured)) == (2, {"x", "y"})

    async def test_the_reply_says_which_cell_it_ends(self, owner: Hosted) -> None:
        await owner.start()
        _, head = await owner.answer(owner.execute("1 / 0", cell=7, epoch=4))
        assert (head["cell"], head["epoch"], head["status"]) == (7, 4, "error")

    async def test_a_cell_sent_right_behind_an_error_is_not_dropped(self, owner: Hosted) -> None:
        """R decides what an error aborts; the kernel's own rule must not eat a cell."""
        await owner.start()
        for cell in range(1, 20, 2):
            reply, _ = await owner.answer(owner.execute("1 / 0", cell))
            assert reply.content["status"] == "error"
            reply, _ = await owner.answer(owner.execute("1 / 1", cell + 1))
            assert reply.content["status"] == "ok"

    async def test_questions_are_answered_and_are_no_cells(self, owner: Hosted) -> None:
        await owner.start()
        await owner.run("variable = 1", cell=1)
        content = {"code": "varia", "cursor_pos": 5}
        reply, head = await owner.answer(owner.request("complete_request", content))
        assert "variable" in reply.content["matches"]
        assert "cell" not in head

    async def test_a_running_cell_is_interrupted(self, owner: Hosted) -> None:
        await owner.start()
        id_ = owner.execute("print('here')\nimport time\ntime.sleep(60)", cell=1)
        await owner.until(lambda: "here" in printed(owner))
        owner.order("interrupt")
        reply, _ = await owner.answer(id_)
        assert reply.content["ename"] == "KeyboardInterrupt"
        assert (await owner.report("captured")).head["cell"] == 1

    async def test_a_cell_of_an_older_epoch_does_not_run(self, owner: Hosted) -> None:
        """The role went elsewhere: what still comes from before must change nothing."""
        await owner.start(epoch=3)
        owner.execute("x = 'stale'", cell=1, epoch=2)
        await owner.run("y = 1", cell=2, epoch=5)
        owner.execute("x = 'stale'", cell=3, epoch=4)
        reply, captured = await owner.run("'x' in globals()", cell=4, epoch=5)
        assert reply.content["status"] == "ok"
        assert names(captured) == {"y"}


class TestState:
    async def test_it_moves_to_another_kernel(self, owner: Hosted, other: Hosted) -> None:
        await asyncio.gather(owner.start(), other.start())
        code = "a = list(range(5))\nb = [a]\ndef f():\n    return len(a)"
        _, captured = await owner.run(code, cell=1)
        await owner.fetch(captured)
        # R's store is one: what came from here can go there.
        for key in captured.head["chunks"]:
            other.store.put(key, owner.store.get(key))
        other.apply(captured, cell=1)
        applied = await other.report("applied", "unapplied")
        assert (applied.kind, applied.head["cell"], applied.head["problems"]) == ("applied", 1, {})
        assert await other.value("(f(), b[0] is a)") == "(5, True)"

        # A second state needs only what is new.
        _, captured = await owner.run("a.append(5)\nc = 'new'", cell=2)
        await owner.fetch(captured)
        for key in captured.head["chunks"]:
            other.store.put(key, owner.store.get(key))
        other.apply(captured, cell=2)
        assert (await other.report("applied")).head["cell"] == 2
        assert await other.value("(f(), c)") == "(6, 'new')"

    async def test_what_changed_a_little_costs_little_both_ways(
        self, owner: Hosted, other: Hosted
    ) -> None:
        """A mebibyte that cannot be compressed, of which some bytes change."""
        await asyncio.gather(owner.start(), other.start())
        steps = [
            "import random; a = bytearray(random.randbytes(900_000))",
            "a[77_777:77_780] = b'new'",
        ]
        written = []
        for cell, code in enumerate(steps, 1):
            _, captured = await owner.run(code, cell=cell)
            before = owner.written, other.written
            await owner.fetch(captured)
            for key in captured.head["chunks"]:
                if other.store.missing([key]):
                    other.store.put(key, owner.store.get(key))
            other.apply(captured, cell=cell)
            assert (await other.report("applied", "unapplied")).kind == "applied"
            written.append((owner.written - before[0], other.written - before[1]))
        assert min(written[0]) > 900_000
        assert max(written[1]) < 20_000
        assert await other.value("bytes(a[77_777:77_780])") == "b'new'"

    async def test_a_chunk_that_cannot_be_had_is_told_and_changes_nothing(
        self, owner: Hosted, other: Hosted
    ) -> None:
        await asyncio.gather(owner.start(), other.start())
        _, captured = await owner.run("a = bytes(range(256)) * 9999", cell=1)
        await owner.fetch(captured)
        await other.run("a = 'mine'", cell=1)
        # R has none of the chunks, and says so for each.
        other.apply(captured, cell=2)
        unapplied = await other.report("unapplied", "applied")
        assert (unapplied.kind, unapplied.head["cell"]) == ("unapplied", 2)
        assert "chunk" in unapplied.head["reason"]
        assert await other.value("a") == "'mine'"

    async def test_without_a_kernel_there_is_nothing_to_take_it(self, owner: Hosted) -> None:
        owner.order("apply", b"{}", cell=3, chunks=[])
        unapplied = await owner.report("unapplied")
        assert unapplied.head["cell"] == 3
        assert "no kernel" in unapplied.head["reason"]

    async def test_a_manifest_that_is_none_is_told(self, owner: Hosted) -> None:
        await owner.start()
        owner.order("apply", b"no manifest", cell=1, chunks=[])
        unapplied = await owner.report("unapplied", "applied")
        assert unapplied.kind == "unapplied"
        assert await owner.value("1 + 1") == "2"


class TestStarting:
    async def failed(self, owner: Hosted, **head: Any) -> str:
        report = await owner.start(**head)
        assert report.kind == "failed"
        assert "\n" not in report.head["reason"]
        return str(report.head["reason"])

    async def test_a_kernelspec_that_does_not_exist(self, owner: Hosted) -> None:
        assert "no kernelspec 'julia-9'" in await self.failed(owner, spec="julia-9")

    async def test_an_interpreter_that_is_gone(
        self, owner: Hosted, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernelspec(folder, monkeypatch, ["/gone/bin/python", "-f", "{connection_file}"])
        reason = await self.failed(owner, spec="odd")
        assert "/gone/bin/python is gone" in reason
        assert "jupyter kernelspec remove odd" in reason

    async def test_a_program_that_is_not_on_the_path(
        self, owner: Hosted, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernelspec(folder, monkeypatch, ["no-such-kernel", "{connection_file}"])
        assert "no-such-kernel" in await self.failed(owner, spec="odd")

    async def test_a_kernel_that_ends_at_once(
        self, owner: Hosted, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernelspec(folder, monkeypatch, [sys.executable, "-c", "raise SystemExit(3)"])
        assert "exit code 3" in await self.failed(owner, spec="odd")

    async def test_another_python_than_the_server_s(self, owner: Hosted) -> None:
        """Code objects would crash the interpreter that loads them."""
        assert "Python 3.9" in await self.failed(owner, python="3.9")
        assert (await owner.start()).kind == "started"

    async def test_a_new_kernel_takes_the_place_of_the_old_one(self, owner: Hosted) -> None:
        old = psutil.Process((await owner.start()).head["pid"])
        await owner.run("x = 1", cell=1)
        new = await owner.start(epoch=2)
        assert new.head["pid"] != old.pid
        assert not old.is_running()
        assert await owner.value("'x' in globals()") == "False"
        assert not any(report.kind == "died" for report in owner.reports)

    async def test_it_runs_where_it_was_told_to(self, owner: Hosted, folder: Path) -> None:
        await owner.start(cwd=str(folder), env={"GREETING": "hello"})
        assert await owner.value("__import__('os').getcwd()") == repr(os.path.realpath(folder))
        assert await owner.value("__import__('os').environ['GREETING']") == "'hello'"

    async def test_a_folder_below_the_home_is_made(
        self, owner: Hosted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files that are kept equal may arrive in it later."""
        monkeypatch.setenv("HOME", str(tmp_path))
        await owner.start(cwd="not/yet/here")
        assert await owner.value("__import__('os').getcwd()") == repr(
            str(tmp_path / "not/yet/here")
        )

    async def test_another_that_is_not_here_does_not_stop_it(self, owner: Hosted) -> None:
        await owner.start(cwd="/no/such/folder")
        home = os.path.realpath(os.path.expanduser("~"))
        assert await owner.value("__import__('os').getcwd()") == repr(home)


class TestEnds:
    async def test_a_death_is_told_and_a_new_kernel_may_follow(self, owner: Hosted) -> None:
        started = await owner.start()
        owner.execute("print('here')\nimport time\ntime.sleep(60)", cell=1)
        await owner.until(lambda: "here" in printed(owner))
        os.kill(started.head["pid"], signal.SIGKILL)
        died = await owner.report("died")
        assert died.head["reason"] == "its kernel died (signal 9)"
        # The cell that it took along holds up no clearing of the store.
        assert owner.host.store.writers == 0
        assert (await owner.start()).kind == "started"
        reply, _ = await owner.run("1 + 1", cell=2)
        assert reply.content["status"] == "ok"

    @pytest.mark.parametrize(("end", "killed"), [("os.kill(os.getpid(), 9)", True), ("1/0", False)])
    async def test_an_end_while_it_starts_tells_whether_it_was_killed(
        self,
        owner: Hosted,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        end: str,
        *,
        killed: bool,
    ) -> None:
        kernelspec(tmp_path, monkeypatch, [sys.executable, "-c", f"import os; {end}"])
        failed = await owner.start(spec="odd")
        assert failed.kind == "failed"
        assert failed.head["killed"] is killed
        assert "the kernel ended with" in failed.head["reason"]

    async def test_a_kernel_that_exits_by_itself(self, owner: Hosted) -> None:
        await owner.start()
        owner.execute("import os\nos._exit(7)", cell=1)
        assert "exit code 7" in (await owner.report("died")).head["reason"]

    async def test_close_ends_the_kernel_and_says_nothing(self, owner: Hosted) -> None:
        process = psutil.Process((await owner.start()).head["pid"])
        await owner.host.close()
        assert not process.is_running()
        left = {path.name for path in owner.host.folder.iterdir()}
        assert left == {"kernel.log"}, "sockets stayed behind"
        assert owner.reports == []


@pytest.mark.parametrize(
    "order",
    [
        Message("no such order"),
        Message("frames"),
        Message("frames", {"ids": 0}, (b"no json", b"{}", b"{}", b"{}")),
        Message("frames", {"ids": 0, "cell": 1, "epoch": 1}, (b"no json", b"{}", b"{}", b"{}")),
        Message("frames", {"ids": 0, "channel": "none"}, (b"{}", b"{}", b"{}", b"{}")),
        Message("apply", {"cell": 1}),
        Message("apply", {"cell": 1, "chunks": ["../../etc/passwd"]}),
        Message("want", {}),
        Message("chunk", {"key": "../../etc/passwd"}, (b"x",)),
        Message("start", {"epoch": "none"}),
    ],
    ids=lambda order: f"{order.kind}-{len(order.head)}-{len(order.parts)}",
)
async def test_a_bad_order_breaks_nothing(owner: Hosted, order: Message) -> None:
    owner.pump.send(order)
    owner.order("apply", b"{}", cell=99, chunks=[])
    assert (await owner.report("unapplied")).head["cell"] == 99
    assert owner.pump.linked
