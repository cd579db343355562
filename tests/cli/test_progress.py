"""Progress of long work: for a person at a terminal, and for nobody else."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.cli.test_add import relay
from tests.e2e.conftest import server

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

__all__ = ["server"]

WORK = """
from relay_kernel.cli.progress import Bars

with Bars() as bars:
    bars.show("model.pt to the target", 1_500_000, 3_000_000)
    bars.show("numpy [64 bit]")
    bars.keep("model.pt to the target")
    bars.show("model.pt to the target", 3_000_000, 3_000_000)
"""


def test_a_terminal_shows_names_and_sizes() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", WORK],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    said = b""
    # The other end is gone once it has ended: that is an error of reading here.
    try:
        while data := os.read(ours, 4096):
            said += data
    except OSError:
        pass
    output, _ = process.communicate(timeout=30)
    os.close(ours)
    assert (process.returncode, output) == (0, b"")
    assert b"model.pt to the target" in said
    assert b"/3.0 MB" in said


def test_a_pipe_is_told_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_sync_tells_programs_that_all_is_equal(server: Places) -> None:
    said = relay("sync", "--json")
    assert (said.status, said.errors) == (0, "")
    assert json.loads(said.output) == {"equal": True, "missing": [], "more": 0}
    assert relay("files", "wait").output == "equal\n"
