"""``relay demo`` as a newcomer runs it, and the comparison that it rests on."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import nbformat
import psutil
import pytest

from relay_kernel.cli import demo as command
from relay_kernel.cli import main
from relay_kernel.cli.demonstration.compare import Run, differences
from relay_kernel.cli.demonstration.findings import find
from relay_kernel.cli.demonstration.notebook import CELLS, RETURN, TRAINING, as_ipynb
from relay_kernel.cli.demonstration.player import Played

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 60.0


@pytest.fixture
def outside() -> Iterator[dict[str, str]]:
    """An environment with a home and a temporary folder of its own, both empty."""
    folder = Path(tempfile.mkdtemp(prefix="d-"))
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    yield {**os.environ, "HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp", "BROWSER": "true"}
    shutil.rmtree(folder)


def assert_nothing_is_left(env: dict[str, str]) -> None:
    assert list(Path(env["TMPDIR"]).iterdir()) == []
    assert list(Path(env["HOME"]).iterdir()) == []
    assert [
        process for process in psutil.process_iter() if env["TMPDIR"] in relay_home(process)
    ] == []


def relay_home(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("RELAY_HOME", ""))
    except (psutil.Error, OSError):
        return ""


@contextmanager
def running(env: dict[str, str], *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command; killed if the test fails, or if it takes too long."""
    with subprocess.Popen(
        [sys.executable, "-m", "relay_kernel.cli", "demo", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
    ) as process:
        guard = threading.Timer(LIMIT, process.kill)
        guard.start()
        try:
            yield process
        finally:
            guard.cancel()
            if process.poll() is None:
                process.terminate()
                process.wait(LIMIT)


def wait_line(output: IO[str] | None, pattern: str) -> re.Match[str]:
    """Read up to the line that has ``pattern``."""
    assert output is not None
    seen = []
    for line in output:
        seen.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError("".join(seen))


class TestDemo:
    def test_the_notebook_ends_as_in_one_kernel(self, outside: dict[str, str]) -> None:
        """The first thing that a newcomer sees: the plug, the re-run, the return, the proof."""
        began = time.monotonic()
        with running(outside) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, output
        assert time.monotonic() - began < LIMIT
        rows = re.findall(r"^ *(\d+)  .*?  (pc|local) +(kept|re-run) +[\d.]+$", output, re.M)
        assert [int(number) for number, _, _ in rows] == [*range(1, len(CELLS) + 1)]
        away = range(TRAINING, RETURN)
        assert [where for _, where, _ in rows] == [
            "local" if number in away else "pc" for number in range(len(CELLS))
        ]
        assert rows[TRAINING][2] == "re-run"
        # Each line of the long cell is on the screen once, though half of it ran twice.
        epochs = re.findall(r"\| epoch +(\d+) ", output)
        assert epochs == [str(epoch) for epoch in range(4, 18)]
        assert "\nEQUAL" in re.sub(r"(?m)^ *[\d.]+ s  ", "", output)
        assert_nothing_is_left(outside)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_can_be_stopped(self, outside: dict[str, str], number: signal.Signals) -> None:
        """Kernels left behind would eat the newcomer's memory for hours."""
        with running(outside) as process:
            wait_line(process.stdout, "trains on the PC")
            process.send_signal(number)
            output, _ = process.communicate()
        assert process.returncode == 130
        assert "Stopped" in output
        assert "Traceback" not in output
        assert_nothing_is_left(outside)

    @pytest.mark.parametrize(
        ("options", "missing", "extra"),
        [([], "numpy", "demo"), (["--lab"], "jupyterlab", "lab")],
    )
    def test_what_is_missing_is_named(
        self,
        options: list[str],
        missing: str,
        extra: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        there = {"numpy", "jupyterlab"} - {missing}
        monkeypatch.setattr(
            command.importlib.util, "find_spec", lambda name: name if name in there else None
        )
        assert main(["demo", *options]) == 1
        line = f'relay: the demo needs {missing}: pip install "relay-kernel[{extra}]"\n'
        assert capsys.readouterr().err == line


class TestLab:
    def test_enter_is_the_switch(self, outside: dict[str, str]) -> None:
        """JupyterLab has the notebook and the kernel; Enter pulls the plug, and puts it back."""
        with running(outside, "--lab") as process:
            assert process.stdin is not None
            url, token = wait_line(
                process.stdout, r"(http://\S+)lab/tree/demo.ipynb\?token=(\S+)"
            ).groups()
            wait_line(process.stdout, "The PC is on")
            notebook = ask(f"{url}api/contents/demo.ipynb?content=1", token)["content"]
            kernel = {"name": notebook["metadata"]["kernelspec"]["name"]}
            session = {"path": "demo.ipynb", "type": "notebook", "name": "", "kernel": kernel}
            assert ask(f"{url}api/sessions", token, session)["kernel"]["name"] == "relay"
            for said in ("The plug is pulled", "The PC is on again"):
                process.stdin.write("\n")
                process.stdin.flush()
                wait_line(process.stdout, said)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate()
        assert process.returncode == 130
        assert "Stopped" in output
        assert_nothing_is_left(outside)

    def test_the_notebook_is_sound(self) -> None:
        notebook = nbformat.reads(as_ipynb("# Hello"), as_version=4)
        nbformat.validate(notebook)
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        assert code == [cell.code.rstrip("\n") for cell in CELLS]


def ask(url: str, token: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if content is None else json.dumps(content).encode()
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
        return json.load(answer)


SETUP = """
import numpy as np
class Thing:
    def __init__(self, size): self.size = size
    def double(self): return self.size * 2
def call(): return rate * 2
rate, thing, array = 0.1, Thing(3), np.arange(4.0)
rows = [[1], {2, 3}, (4, "x"), None]
other = rows
loop = []
loop.append(loop)
"""


def found(*changes: str) -> dict[str, list[str]]:
    """What is found after the setup and ``changes``, in a namespace as IPython has it."""
    names: dict[str, Any] = {"__name__": "__main__", "In": ["", SETUP], "Out": {1: 2}, "_": 2}
    random.seed(1)
    for code in (SETUP, *changes):
        exec(code, names)
    names.pop("__builtins__")
    shell = types.SimpleNamespace(user_ns=names, execution_count=2)
    return json.loads(find(shell, ("call()",)))  # type: ignore[no-any-return]


def differing(*changes: str) -> list[str]:
    lines = differences(Run([], found()), Run([], found(*changes)))
    return [line.partition(": ")[0] for line in lines]


class TestComparison:
    """Were it blind, the demo would promise what is not so."""

    def test_equal(self) -> None:
        assert differing() == []
        assert differing("other = None", "other = rows") == []

    @pytest.mark.parametrize(
        ("change", "names"),
        [
            ("array[2] = np.nextafter(2, 3)", ["array"]),
            ("array = array.astype('f4')", ["array"]),
            ("thing.size = 4", ["thing"]),
            ("rows[1].add(9)", ["other", "rows"]),
            ("other = [[1], {2, 3}, (4, 'x'), None]", ["the names that share an object"]),
            ("loop = [[]]", ["loop"]),
            ("extra = 1", ["extra"]),
            ("del thing", ["thing"]),
            ("rate = 0.2", ["rate", "value of call()"]),
            ("def call(): return rate + rate", ["call"]),
            ("Thing.double = lambda self: self.size * 3", ["Thing"]),
            ("In.append('1')", ["In"]),
            ("Out[2] = 3", ["Out"]),
            ("import random as r; r.random(); del r", ["the state of random"]),
        ],
    )
    def test_a_difference_is_found(self, change: str, names: list[str]) -> None:
        assert differing(change) == names

    def test_what_a_reader_sees_counts(self) -> None:
        one, other = Played("x", text={"stdout": "1\n"}), Played("x", text={"stdout": "1\n1\n"})
        assert differences(Run([one], {}), Run([one], {})) == []
        assert len(differences(Run([one], {}), Run([other], {}))) == 1

    def test_relays_own_lines_are_no_output(self) -> None:
        played = Played("x")
        for text in ("warning\n", "[relay] pc was lost.\n"):
            content = {"name": "stderr", "text": text}
            played.take({"msg_type": "stream", "content": content})
        assert (played.text, played.notices) == ({"stderr": "warning\n"}, ["pc was lost."])
