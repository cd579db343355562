"""What ``relay status`` believes of the files that processes leave behind."""

from __future__ import annotations

import copy
import json
import os
import pty
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console

from relay_kernel.cli.overview import changes, picture
from relay_kernel.cli.status import collect
from tests.cli.live import live

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from relay_kernel.settings.paths import Places


def left_behind(path: Path, content: dict[str, object], *, age: float) -> None:
    """A file of a process with our own number, written so many seconds ago."""
    path.write_text(json.dumps({"pid": os.getpid(), **content}))
    written = path.stat().st_mtime - age
    os.utime(path, (written, written))


def test_the_number_of_a_dead_process_that_another_has_now(places: Places) -> None:
    """As after a power cut: what it wrote is still there."""
    left_behind(places.kernels / "book.json", {"kernel": {"id": "book"}, "targets": {}}, age=1e6)
    assert collect(places)["kernels"] == []


def test_a_process_that_lives(places: Places) -> None:
    left_behind(places.kernels / "book.json", {"kernel": {"id": "book"}, "targets": {}}, age=0)
    assert collect(places)["kernels"] == [{"id": "book"}]


def test_a_target_that_dials_in_is_what_the_hub_says(places: Places) -> None:
    places.config.write_text("[targets.pc]\ndials_in = true\n")
    assert collect(places)["targets"]["pc"]["phase"] == "absent"
    seen = {"phase": "linked", "since": "2026-11-22T18:11:06+00:00", "host": "desk"}
    left_behind(places.hub_status, {"targets": {"pc": seen}}, age=0)
    found = collect(places)["targets"]["pc"]
    # Else the fixture would take us for the hub, and end us.
    places.hub_status.unlink()
    assert {key: found[key] for key in seen} == seen


REPORT: dict[str, Any] = {
    "targets": {
        "pc": {"phase": "ready", "since": None, "rtt_ms": 3.4, "host": "desk"},
        "local": {"phase": "ready", "since": None, "rtt_ms": None, "host": None},
    },
    "kernels": [
        {
            **{"id": "5f2a9c01d7e4aa", "spec": "python3", "primary": "pc", "epoch": 2},
            **{"cell": 43, "safe_cell": 42, "standby": {"local": {"applied_cell": 41}}},
        }
    ],
    "files": {"pc": {"pending": 2, "conflicts": 1, "last_sync": None}},
    "envs": {"python3": {"pc": {"phase": "building", "drift": ["a", "b"]}}},
}


def test_the_picture_has_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=120, highlight=False).print(picture(REPORT))
    text = capsys.readouterr().out
    for row in (
        r"pc +ready +desk +3.4 ms",
        r"5f2a9c01d7e4 +python3 +pc +43 +42 +local \(41\)",
        r"pc +2 +1 +never",
        r"python3 +pc +building +2 differences",
    ):
        assert re.search(row, text), text


def test_a_target_that_is_not_there_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    absent = {**REPORT["targets"]["pc"], "phase": "absent"}
    report = {**REPORT, "targets": {"pc": absent}}
    Console(width=120, highlight=False).print(picture(report, {"pc": "it is off"}))
    assert re.search(r"pc +absent .*it is off", capsys.readouterr().out)


class TestChanges:
    def test_at_first_everything_is_new(self) -> None:
        lines = [line.partition(" ")[2] for line in changes(None, REPORT)]
        assert lines == [
            "pc: ready on desk",
            "local: ready",
            "notebook 5f2a9c01d7e4 (python3): runs on pc, cell 43, safe up to 42",
            "files at pc: 2 on their way, 1 conflicts",
            "environment python3 at pc: building, 2 differences",
        ]

    def test_then_only_what_is_other(self) -> None:
        later = copy.deepcopy(REPORT)
        later["targets"]["pc"].update(phase="quiet", rtt_ms=90)
        later["kernels"] = []
        lines = [line.partition(" ")[2] for line in changes(REPORT, later)]
        assert lines == [
            *("pc: quiet on desk", "notebook 5f2a9c01d7e4 (python3): gone"),
        ]
        assert list(changes(later, later)) == []


class TestWatch:
    async def test_a_line_for_each_change_until_ctrl_c(self, places: Places) -> None:
        book = {"pid": os.getpid(), "targets": {}, "kernel": REPORT["kernels"][0]}
        async with live("status", "--watch") as status:
            await status.says("local: ready")
            (places.kernels / "book.json").write_text(json.dumps(book))
            await status.says("notebook 5f2a9c01d7e4 (python3): runs on pc")
            (places.kernels / "book.json").unlink()
            await status.says("notebook 5f2a9c01d7e4 (python3): gone")
            assert await status.interrupt() == (0, "")

    async def test_json_is_an_object_a_line(self, places: Places) -> None:
        async with live("status", "--watch", "--json") as status:
            found = json.loads(await status.says("{"))
            assert found["targets"]["local"]["phase"] == "ready"
            assert await status.interrupt() == (0, "")

    def test_it_ends_when_nobody_reads(self, places: Places) -> None:
        """Though nothing changes, and so nothing is written."""
        process = subprocess.Popen(
            [sys.executable, "-m", "relay_kernel.cli", "status", "--watch"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert b"local: ready" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()

    def test_a_terminal_shows_a_picture(self, places: Places) -> None:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "relay_kernel.cli", "status", "--watch"],
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(theirs)
        said = b""
        while said.count(b"local") < 2:
            said += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        os.close(ours)
        assert b"round trip" in said
