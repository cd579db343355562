"""Clients without a window: nbclient, jupyter console."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.e2e.rig import REPO

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def jupyter_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the kernelspec as a user would, into a Jupyter of its own."""
    data = tmp_path / "jupyter"
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(data))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    command = [sys.executable, "-m", "jupyter", "kernelspec", "install", "--user"]
    subprocess.run([*command, str(REPO / "kernelspecs" / "relay")], check=True, capture_output=True)
    assert (data / "kernels" / "relay" / "kernel.json").exists()
    return data


def a_notebook(*cells: str) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": "relay", "display_name": "", "language": "python"}
    return made


@pytest.mark.usefixtures("server", "jupyter_path")
async def test_nbclient_runs_a_notebook() -> None:
    from nbclient import NotebookClient

    made = a_notebook("x = 20", "print(x + 1)", "x * 2 + 2", "%relay")
    await NotebookClient(made, timeout=60).async_execute()
    printed, computed, shown = (cell.outputs[0] for cell in made.cells[1:])
    assert printed.text == "21\n"
    assert computed.data["text/plain"] == "42"
    assert "runs the cells" in shown.text
    assert made.cells[2].execution_count == 3


@pytest.mark.usefixtures("server", "jupyter_path")
def test_console_runs_a_cell() -> None:
    command = [sys.executable, "-m", "jupyter", "console", "--kernel", "relay", "--simple-prompt"]
    done = subprocess.run(
        command,
        input="6 * 7\nprint('one', 'line')\nexit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Out[1]: 42" in done.stdout, done.stdout + done.stderr
    assert "one line" in done.stdout
