"""What ``relay status`` shows of a notebook, while it runs and never after."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.cli.status import collect
from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.kernel.setup import Setup
from relay_kernel.kernel.status import StatusFile
from relay_kernel.settings.config import ConfigError
from tests.kernel.rig import PC, Notebook, notebook

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places

SOON = 10.0


@pytest.fixture
async def book(places: Places) -> Notebook:
    return notebook(places)


def status_file(book: Notebook, places: Places) -> tuple[Path, StatusFile]:
    path = places.kernels / "book.json"
    setup = Setup("book", "python3")
    return path, StatusFile(path, setup, book.router, book.links, book.state)


async def written(path: Path) -> dict[str, Any]:
    """What the file says, once it is there."""
    async with asyncio.timeout(SOON):
        while not path.exists():
            await asyncio.sleep(0.01)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


class TestFile:
    async def test_a_change_is_written_down(self, book: Notebook, places: Places) -> None:
        path, status = status_file(book, places)
        book.run(1, LOCAL)
        book.feed(ev.TargetOpened(PC), ev.KernelStarted(PC), ev.SnapshotApplied(PC, 1))
        status.changed()
        said = await written(path)
        assert said["pid"] == os.getpid()
        assert said["kernel"] == {
            "id": "book",
            "spec": "python3",
            "primary": LOCAL,
            "epoch": 1,
            "cell": 1,
            "safe_cell": 0,
            "standby": {PC: {"applied_cell": 1}},
        }
        assert said["targets"][PC]["phase"] == "ready"
        assert list(said["targets"]) == [PC, LOCAL]

    async def test_many_changes_are_one_write_of_the_last(
        self, book: Notebook, places: Places
    ) -> None:
        path, status = status_file(book, places)
        for cell in range(1, 6):
            book.run(cell, LOCAL)
            status.changed()
            assert not path.exists()
        assert (await written(path))["kernel"]["cell"] == 5

    async def test_the_time_is_that_of_the_day(self, book: Notebook, places: Places) -> None:
        path, status = status_file(book, places)
        before = path.parent.stat().st_mtime
        book.feed(ev.TargetOpened(PC))
        status.changed()
        since = (await written(path))["targets"][PC]["since"]
        assert abs(since - before) < 60

    async def test_the_end_of_the_notebook_removes_it(self, book: Notebook, places: Places) -> None:
        path, status = status_file(book, places)
        status.changed()
        await written(path)
        status.changed()
        status.remove()
        # The write that was due does not bring it back.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(written_again(path), 0.3)
        assert list(places.kernels.iterdir()) == []


async def written_again(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.01)


class TestReport:
    def write(self, places: Places, name: str, pid: int, **target: Any) -> None:
        about = {"phase": "ready", "since": 1000.0, "reason": ""}
        about |= {"rtt_ms": 1.5, "host": "tower", "boot_id": "b", "agent_version": "1"}
        kernel = {"id": name, "spec": "python3", "primary": PC, "standby": {}}
        said = {"pid": pid, "kernel": kernel, "targets": {PC: about | target}}
        (places.kernels / f"{name}.json").write_text(json.dumps(said))

    @pytest.fixture
    def configured(self, places: Places) -> Places:
        places.config.write_text('[targets.pc]\nssh = "me@192.0.2.7"\n')
        return places

    def test_with_nothing_set_up_there_is_only_this_machine(self, places: Places) -> None:
        report = collect(places)
        assert list(report["targets"]) == [LOCAL]
        assert report["targets"][LOCAL]["phase"] == "ready"
        assert (report["kernels"], report["files"], report["envs"]) == ([], {}, {})

    def test_a_pc_that_no_notebook_has_seen(self, configured: Places) -> None:
        target = collect(configured)["targets"][PC]
        assert target["phase"] == "absent"
        assert set(target) == {"phase", "since", "rtt_ms", "host", "boot_id", "agent_version"}

    def test_a_running_notebook_and_its_pc_are_shown(self, configured: Places) -> None:
        self.write(configured, "book", os.getpid())
        report = collect(configured)
        assert [kernel["id"] for kernel in report["kernels"]] == ["book"]
        target = report["targets"][PC]
        assert (target["phase"], target["host"], target["rtt_ms"]) == ("ready", "tower", 1.5)
        assert target["since"].startswith("1970-01-01T00:16:40")

    def test_a_notebook_whose_process_was_killed_is_not_shown(self, configured: Places) -> None:
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait(SOON)
        self.write(configured, "dead", process.pid)
        self.write(configured, "book", os.getpid(), phase="absent")
        report = collect(configured)
        assert [kernel["id"] for kernel in report["kernels"]] == ["book"]
        assert report["targets"][PC]["phase"] == "absent"

    def test_the_best_that_any_notebook_sees_counts(self, configured: Places) -> None:
        for name, phase in (("a", "quiet"), ("b", "filling"), ("c", "absent")):
            self.write(configured, name, os.getpid(), phase=phase)
        assert collect(configured)["targets"][PC]["phase"] == "filling"

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "none"}', "{}"])
    def test_a_file_that_cannot_be_read_is_passed_over(self, configured: Places, text: str) -> None:
        (configured.kernels / "torn.json").write_text(text)
        self.write(configured, "book", os.getpid())
        assert [kernel["id"] for kernel in collect(configured)["kernels"]] == ["book"]

    def test_a_broken_configuration_is_one_line_with_its_place(self, places: Places) -> None:
        places.config.write_text("[targets.pc]\nssh = 7\n")
        with pytest.raises(ConfigError) as caught:
            collect(places)
        assert "\n" not in str(caught.value)
        assert str(places.config) in str(caught.value)
