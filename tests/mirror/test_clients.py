"""Clients that read only the disk, each as its user starts it, with the mirror of a kernel."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from tests.e2e.rig import SOON

if TYPE_CHECKING:
    from tests.mirror.rig import Jupyter

WHERE = "import os, sys; print(sys.prefix, os.environ['WORD'], os.environ['LONGER'])"
STATUS = "%relay"


@pytest.fixture
def science(jupyter: Jupyter) -> Jupyter:
    """A Jupyter with a kernel that sets something for its cells, and its mirror."""
    env = {"WORD": "one", "LONGER": "${LONGER}:more"}
    command = [str(jupyter.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    quiet = "--IPKernelApp.quiet=True"
    jupyter.write_spec("science", argv=[*command, quiet], env=env, metadata={"debugger": True})
    jupyter.env["LONGER"] = "some"
    jupyter.mirror()
    return jupyter


def expected(jupyter: Jupyter) -> str:
    return f"{jupyter.prefix} one some:more\n"


def write_notebook(jupyter: Jupyter, *cells: str, name: str = "relay-science") -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": name, "display_name": "", "language": "python"}
    path = jupyter.home / "in.ipynb"
    nbformat.write(made, path)
    return path


def outputs(path: Path) -> list[str]:
    """What each cell of a notebook has printed, or shows as text."""
    cells = nbformat.read(path, 4).cells
    return ["".join(map(as_text, cell.outputs)) for cell in cells]


def as_text(output: nbformat.NotebookNode) -> str:
    return output.get("text", "") or output.get("data", {}).get("text/plain", "")


def test_jupyter_kernelspec_list(science: Jupyter) -> None:
    said = science.run("jupyter_client.kernelspecapp", "list")
    assert re.search(r"^  relay-science +/", said, re.MULTILINE)
    assert re.search(r"^  relay-python3 +/", said, re.MULTILINE)


def test_nbclient(science: Jupyter) -> None:
    path = write_notebook(science, WHERE, STATUS)
    (science.site / "run_nbclient.py").write_text("from nbclient.cli import main; main()")
    science.run("run_nbclient", str(path), "--inplace")
    where, status = outputs(path)
    assert where == expected(science)
    assert "runs the cells" in status


def test_papermill(science: Jupyter) -> None:
    path = write_notebook(science, WHERE, STATUS, name="python3")
    out = science.home / "out.ipynb"
    science.run("papermill", str(path), str(out), "-k", "relay-science")
    where, status = outputs(out)
    assert where == expected(science)
    assert "runs the cells" in status


def test_jupyter_console(science: Jupyter) -> None:
    command = ["jupyter_console", "--kernel=relay-science", "--simple-prompt"]
    said = science.run(*command, input=f"{WHERE}\n{STATUS}\nexit\n")
    assert expected(science) in said
    assert "runs the cells" in said


def test_vs_code(science: Jupyter, tmp_path: Path) -> None:
    """It reads the disk, asks the interpreter, runs silent cells, and gives ports as arguments."""
    (folder,) = science.kernels.glob("relay-science")
    spec = json.loads((folder / "kernel.json").read_text())
    assert spec["language"] == "python"
    interpreter = spec["argv"][0]
    command = [interpreter, "-c", "import sys; print(sys.executable)"]
    assert subprocess.check_output(command, text=True).strip() == interpreter

    key = uuid.uuid4().hex
    file, about = write_connection_file(
        str(tmp_path / "known.json"), key=key.encode(), ip="127.0.0.1"
    )
    given = [
        *("--ip=127.0.0.1", f"--stdin={about['stdin_port']}", f"--control={about['control_port']}"),
        *(f"--hb={about['hb_port']}", '--Session.signature_scheme="hmac-sha256"'),
        *(f'--Session.key=b"{key}"', f"--shell={about['shell_port']}", '--transport="tcp"'),
        *(f"--iopub={about['iopub_port']}", f"--f={tmp_path / 'kernel-v2-1234.json'}"),
    ]
    argv: list[str] = list(spec["argv"])
    at = argv.index("-f")
    argv[at : at + 2] = given
    env = {**science.env, **spec["env"]}
    kernel = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        # It runs several silent ones when it has connected.
        assert run_cells(Path(file), "pass", WHERE) == expected(science)
        kernel.communicate(timeout=SOON)
    finally:
        kernel.kill()
        kernel.wait()


async def test_jupyter_server(science: Jupyter) -> None:
    async with science.server() as server:
        kernel = await server.start_kernel("relay-science")
        file = Path(science.env["JUPYTER_RUNTIME_DIR"]) / f"kernel-{kernel}.json"
        assert await asyncio.to_thread(run_cells, file, WHERE) == expected(science)


def run_cells(connection_file: Path, *cells: str) -> str:
    """Connect to a kernel, run cells, shut it down; return what was printed."""
    client = BlockingKernelClient(connection_file=str(connection_file))
    client.load_connection_file()
    # Its heart would be given one second, and on a busy machine R needs longer to come up.
    client.start_channels(hb=False)
    shown: list[dict[str, Any]] = []
    try:
        client.wait_for_ready(timeout=SOON)
        for cell in cells:
            client.execute_interactive(cell, timeout=SOON, output_hook=shown.append)
        client.shutdown()
    finally:
        client.stop_channels()
    return "".join(m["content"]["text"] for m in shown if m["msg_type"] == "stream")
