"""Clients without a window: nbclient, jupyter console."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import pytest
import zmq
from jupyter_client.manager import AsyncKernelManager

from relay_kernel.cli.status import collect
from relay_kernel.settings.paths import find_places
from tests.e2e.rig import REPO, SOON
from tests.ports import give_ports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.rig import Pc


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
    assert "runs the cells" in shown.data["text/plain"]
    assert made.cells[2].execution_count == 3


@pytest.mark.usefixtures("server", "jupyter_path")
async def test_what_goes_to_front_ends_can_be_encrypted() -> None:
    """As a Jupyter Server does it that was told to: with keys in the connection file."""
    manager = AsyncKernelManager(kernel_name="relay", transport_encryption="required")
    give_ports(manager)
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    eavesdropper = zmq.Context.instance().socket(zmq.SUB)
    try:
        eavesdropper.subscribe(b"")
        eavesdropper.connect(f"tcp://127.0.0.1:{client.iopub_port}")
        for _ in range(2):
            await client.wait_for_ready(timeout=SOON)
            said: list[str] = []
            reply = await client.execute_interactive(
                "print(6 * 7)",
                timeout=SOON,
                output_hook=lambda message, said=said: said.append(
                    message["content"].get("text", "")
                ),
            )
            assert reply["content"]["status"] == "ok"
            assert "42\n" in said
            async with asyncio.timeout(SOON):
                while not client.hb_channel.is_beating():
                    await asyncio.sleep(0.05)
            await manager.restart_kernel()
        assert not eavesdropper.poll(200)
    finally:
        eavesdropper.close(linger=0)
        client.stop_channels()
        await manager.shutdown_kernel()


WIDGETS = """\
import ipywidgets
slider, seen = ipywidgets.IntSlider(value=5), ipywidgets.Output()
with seen:
    print("in the widget")
print("in the cell")
ipywidgets.VBox([slider, seen])
"""


@pytest.mark.sshd
@pytest.mark.usefixtures("jupyter_path")
async def test_nbclient_keeps_the_state_of_widgets_of_all_targets(desktop: Pc) -> None:
    """They are in the notebook when it is shown on a page without a kernel."""
    from nbclient import NotebookClient

    made = a_notebook("%%relay pc\n" + WIDGETS, "%%relay local\n" + WIDGETS, "%relay")

    async def the_pc_is_there(cell: nbformat.NotebookNode, cell_index: int) -> None:
        async with asyncio.timeout(SOON):
            while collect(find_places())["targets"]["pc"]["phase"] != "ready":
                await asyncio.sleep(0.05)

    await NotebookClient(made, timeout=60, on_cell_start=the_pc_is_there).async_execute()
    states = made.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    for cell in made.cells[:2]:
        assert "".join(o.text for o in cell.outputs if o.get("name") == "stdout") == "in the cell\n"
        (view,) = [o for o in cell.outputs if "data" in o]
        box = states[view.data["application/vnd.jupyter.widget-view+json"]["model_id"]]
        slider, seen = (states[name.removeprefix("IPY_MODEL_")] for name in box.state["children"])
        assert slider.state["value"] == 5
        assert [output.text for output in seen.state["outputs"]] == ["in the widget\n"]


@pytest.mark.usefixtures("server", "jupyter_path")
def test_papermill_runs_a_notebook_with_parameters(tmp_path: Path) -> None:
    import papermill

    made = a_notebook("count = 1", "print('count is', count)\n1 / (3 - count)", "count * 2")
    made.cells[0].metadata.tags = ["parameters"]
    nbformat.write(made, tmp_path / "in.ipynb")

    def run(count: int) -> nbformat.NotebookNode:
        paths = str(tmp_path / "in.ipynb"), str(tmp_path / "out.ipynb")
        papermill.execute_notebook(*paths, {"count": count}, progress_bar=False)
        return nbformat.read(tmp_path / "out.ipynb", 4)

    out = run(2)
    assert out.cells[2].outputs[0].text == "count is 2\n"
    assert out.cells[3].outputs[0].data["text/plain"] == "4"
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        run(3)
    out = nbformat.read(tmp_path / "out.ipynb", 4)
    assert [cell.metadata.papermill.status for cell in out.cells[-2:]] == ["failed", "pending"]


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
