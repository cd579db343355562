"""Tests that measure a time run beside no other; the others run beside each other."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
SOON = 30.0


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[], Turns]]:
    """Makes workers of one run."""
    made: list[Turns] = []

    def make() -> Turns:
        made.append(Turns(tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.close()


def waits_at(gate: Path) -> None:
    """Wait until somebody keeps the gate shut."""
    deadline = time.monotonic() + SOON
    with gate.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(file, fcntl.LOCK_UN)
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_others_run_beside_each_other(worker: Callable[[], Turns]) -> None:
    for each in (worker(), worker(), worker()):
        each.begin(alone=False)


def test_one_that_wants_to_be_alone_waits_and_is_not_overtaken(
    worker: Callable[[], Turns], tmp_path: Path
) -> None:
    first, quiet, late = worker(), worker(), worker()
    story: list[str] = []

    def run(name: str, turns: Turns, *, alone: bool) -> threading.Thread:
        def turn() -> None:
            turns.begin(alone=alone)
            story.append(name)
            turns.end()

        thread = threading.Thread(target=turn)
        thread.start()
        return thread

    first.begin(alone=False)
    threads = [run("alone", quiet, alone=True)]
    waits_at(tmp_path / "gate")
    threads.append(run("late", late, alone=False))
    story.append("first")
    first.end()
    for thread in threads:
        thread.join(SOON)
    assert story == ["first", "alone", "late"]


def test_one_that_dies_leaves_its_turn(worker: Callable[[], Turns], tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from tests.turns import Turns\n"
        "turns = Turns(pathlib.Path(sys.argv[1])); turns.begin(alone=True)\n"
        "print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        os.kill(other.pid, signal.SIGKILL)
    worker().begin(alone=True)


TESTS = """
import json, os, pathlib, time, pytest

@pytest.fixture(autouse=True)
def noted(request):
    began = time.monotonic()
    yield
    span = [began, time.monotonic(), os.environ["PYTEST_XDIST_WORKER"]]
    pathlib.Path({folder!r}, request.node.name).write_text(json.dumps(span))

@pytest.mark.parametrize("number", range(40))
def test_any(number):
    time.sleep(0.01)

@pytest.mark.alone
@pytest.mark.parametrize("number", range(10))
def test_alone(number):
    time.sleep(0.01)
"""


def test_workers_take_turns(tmp_path: Path) -> None:
    spans = tmp_path / "spans"
    spans.mkdir()
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_configure\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone: as here\n")
    (tmp_path / "test_it.py").write_text(TESTS.format(folder=str(spans)))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal"),
            *("-p", "no:cacheprovider", "--basetemp", str(tmp_path / "temp"), str(tmp_path)),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {path.name: json.loads(path.read_text()) for path in spans.iterdir()}
    assert len(found) == 50
    assert {worker for _, _, worker in found.values()} == {"gw0", "gw1"}
    for name, (began, ended, _) in found.items():
        if name.startswith("test_alone"):
            beside = [n for n, (b, e, _) in found.items() if n != name and b < ended and e > began]
            assert beside == [], name
