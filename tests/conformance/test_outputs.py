"""Outputs that a later cell changes, and noise that belongs into no notebook."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from relay_kernel.settings.paths import find_places
from tests.conformance.conftest import a_pc, a_server
from tests.conformance.rig import Client, states
from tests.e2e.rig import REPO

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOW = "from IPython.display import display\nhandle = display('a', display_id='k')"
UPDATE = "from IPython.display import update_display\nupdate_display('b', display_id='k')"


def updates(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [m["content"] for m in messages if m["msg_type"] == "update_display_data"]


async def test_a_later_cell_changes_an_output(book: Client) -> None:
    shown = await book.run(SHOW)
    (first,) = [m["content"] for m in shown.messages if m["msg_type"] == "display_data"]
    assert first["transient"] == {"display_id": "k"}
    cell = book.send("handle.update('c')")
    (second,) = updates((await cell.end()).messages)
    assert second["transient"] == {"display_id": "k"}
    assert second["data"] == {"text/plain": "'c'"}


@pytest.mark.sshd
async def test_an_output_is_changed_from_the_other_target(far: Client) -> None:
    await far.switch("local")
    await far.run(SHOW)
    result = await far.run(f"%%relay pc\n{UPDATE}")
    assert result.target == "pc"
    (changed,) = updates(result.messages)
    assert changed["transient"] == {"display_id": "k"}
    assert changed["data"] == {"text/plain": "'b'"}
    # The handle has travelled, too.
    again = await far.run("%%relay pc\nhandle.update('d')")
    assert [u["data"] for u in updates(again.messages)] == [{"text/plain": "'d'"}]


async def test_nbclient_changes_the_output_in_its_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And puts what an Output widget takes where the widget is."""
    widget = "import ipywidgets\nout = ipywidgets.Output()\nout"
    into = "with out:\n    print('inside')\nprint('outside')"
    codes = [SHOW, UPDATE, widget, into]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
    with a_server() as folder:
        shutil.copytree(REPO / "kernelspecs", folder / "kernels")
        monkeypatch.setenv("JUPYTER_PATH", str(folder))
        notebook = NotebookClient(made, kernel_name="relay", timeout=60)
        await notebook.async_execute(cwd=str(tmp_path))
    (shown,) = made.cells[0].outputs
    assert shown.data == {"text/plain": "'b'"}
    (outside,) = made.cells[3].outputs
    assert outside.text == "outside\n"
    states_ = made.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    (output,) = [s["state"] for s in states_.values() if s["model_name"] == "OutputModel"]
    assert [each["text"] for each in output["outputs"]] == ["inside\n"]


NOISE = 100_000
SHOUT = f"head -c {NOISE} /dev/zero | tr '\\0' '%' >&2"


@pytest.mark.sshd
async def test_what_processes_say_at_their_start_is_in_no_notebook() -> None:
    """A login shell that complains, and a kernel that does: nothing blocks, and a log has it."""
    with a_server() as folder, a_pc(folder) as desktop:
        for name in (".bashrc", ".profile", ".zshenv"):
            (desktop.sshd.home / name).write_text(f"{SHOUT}\n")
        loud = folder / "kernels" / "loud"
        client = Client(folder)
        loud.mkdir()
        run = f'{SHOUT}; exec {sys.executable} -m ipykernel_launcher -f "$0"'
        spec = {"argv": ["sh", "-c", run, "{connection_file}"], "display_name": "Loud"}
        (loud / "kernel.json").write_text(json.dumps({**spec, "language": "python"}))
        relay = folder / "kernels" / "relay" / "kernel.json"
        own = json.loads(relay.read_text())
        own["argv"] += ["--spec=loud"]
        own["env"] = {"JUPYTER_PATH": str(folder)}
        relay.write_text(json.dumps(own))
        kernels = desktop.sshd.home / ".local/share/jupyter/kernels"
        kernels.mkdir(parents=True)
        (kernels / "loud").symlink_to(loud)
        async with client:
            await client.run_on("pc")
            await client.run("import os; os.write(2, b'')", silent=True)
            silent = await client.run("x = 1", silent=True)
            assert states(silent.messages) == ["busy", "idle"]
            assert silent.types == ["status", "status"]
            await client.switch("local")
            streams = [m["content"]["text"] for m in client.all if m["msg_type"] == "stream"]
            assert not [text for text in streams if "%%%" in text]
            logs = list(find_places().run.glob("k*/kernel.log"))
            assert sum(log.read_bytes().count(b"%") for log in logs) >= NOISE
