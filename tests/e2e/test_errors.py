"""Each thing a person can get wrong is one clear line; the cell runs here or ends with it."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel.link.pins import HostKey, pin
from relay_kernel.settings.edit import add_target
from tests.e2e.rig import SOON, Notebook, Pc, configure, processes_of
from tests.sshd import Sshd, make_key

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places
    from tests.e2e.rig import Result


async def first_notice(notebook: Notebook) -> Result:
    """Run cells until one of them shows a notice."""
    async with asyncio.timeout(SOON):
        while True:
            result = await notebook.run("6 * 7")
            assert (result.status, result.target) == ("ok", "local")
            if result.notices:
                return result


async def complaint_of(tmp_path: Path) -> str:
    """The notice of a new notebook: one line, once."""
    async with Notebook(tmp_path) as notebook:
        result = await first_notice(notebook)
        assert result.value == "42"
        assert (await notebook.run("1")).notices == ""
        status = (await notebook.run("%relay")).said
        (line,) = result.notices.splitlines()
        assert line.removeprefix("[relay] pc: ")[:40] in status or "config.toml" in line
        return line


async def test_a_broken_configuration(server: Places, tmp_path: Path) -> None:
    server.config.write_text('[targets.pc]\nssh = "me@pc"\n\n[kernel]\nlost_after = "soon"\n')
    line = await complaint_of(tmp_path)
    assert "config.toml" in line
    assert "line 5" in line
    assert "lost_after" in line


async def test_a_configuration_that_is_no_toml(server: Places, tmp_path: Path) -> None:
    server.config.write_text("[targets.pc\n")
    line = await complaint_of(tmp_path)
    assert "config.toml" in line
    assert "line 1" in line


@pytest.mark.sshd
class TestPc:
    async def test_not_paired(self, server: Places, pc: Sshd, tmp_path: Path) -> None:
        add_target(server.config, "pc", ssh=pc.address, identity=pc.identity)
        line = await complaint_of(tmp_path)
        assert "relay add pc" in line

    async def test_another_host_key(self, server: Places, pc: Sshd, tmp_path: Path) -> None:
        pc.pair(server, python=sys.executable)
        pc.new_host_key()
        line = await complaint_of(tmp_path)
        assert "host key" in line
        assert "SHA256:" in line

    async def test_it_asks_for_a_password(self, server: Places, tmp_path: Path) -> None:
        with Sshd(tmp_path / "pc", passwords_only=True) as pc:
            pc.pair(server, python=sys.executable)
            line = await complaint_of(tmp_path)
        assert "password" in line

    async def test_a_key_it_does_not_know(self, server: Places, pc: Sshd, tmp_path: Path) -> None:
        pin(server, "pc", pc.host_key)
        other = make_key(tmp_path / "other")
        add_target(server.config, "pc", ssh=pc.address, identity=other)
        line = await complaint_of(tmp_path)
        assert "key" in line

    async def test_no_python_there(self, server: Places, tmp_path: Path) -> None:
        with Sshd(tmp_path / "pc", path="/nowhere") as pc:
            pc.pair(server)
            line = await complaint_of(tmp_path)
        assert "Python" in line

    @pytest.mark.timeout(200)
    async def test_no_agent_there(self, server: Places, pc: Sshd, tmp_path: Path) -> None:
        """It is put there, and the notebook runs here meanwhile."""
        pc.pair(server)
        async with Notebook(tmp_path) as notebook:
            assert (await notebook.run("x = 1")).target == "local"
            assert (await notebook.run_on("pc", "x", within=150)).value == "1"
        for process in processes_of(pc.relay_home):
            process.kill()

    async def test_no_such_kernel_there(self, server: Places, pc: Sshd, tmp_path: Path) -> None:
        desktop = Pc(pc, server)
        try:
            async with Notebook(tmp_path, "other-env") as notebook:
                result = await first_notice(notebook)
        finally:
            desktop.close()
        assert "other-env-backend" in result.notices
        assert "kernelspec" in result.notices

    @pytest.fixture(autouse=True)
    def specs(self, tmp_path: Path) -> None:
        """A relay over a kernel that only the server has."""
        folder = tmp_path / "kernels"
        write_spec(folder / "other-env", relay_to="other-env-backend")
        backend = folder / "other-env-backend"
        backend.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": "other", "language": "python"}
        (backend / "kernel.json").write_text(json.dumps(spec))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("me@no-such-host.invalid", "no-such-host.invalid"),
        ("me@127.0.0.1:1", "127.0.0.1"),
    ],
    ids=["a name that does not resolve", "a port that refuses"],
)
async def test_a_pc_that_is_not_there_is_no_reason_to_complain(
    server: Places, tmp_path: Path, address: str, words: str
) -> None:
    add_target(server.config, "pc", ssh=address)
    _, blob, *_ = make_key(tmp_path / "host").with_suffix(".pub").read_text().split()
    pin(server, "pc", HostKey("ssh-ed25519", blob))
    configure(server, wait_at_submit=1.0)
    async with Notebook(tmp_path) as notebook:
        result = await notebook.run("6 * 7")
        assert (result.value, result.target, result.notices) == ("42", "local", "")
        async with asyncio.timeout(SOON):
            while words not in (await notebook.run("%relay")).said:
                await asyncio.sleep(0.05)
        forced = await notebook.run("%%relay pc\n1")
        assert forced.reply["content"]["ename"] == "RelayTargetUnavailable"
        assert words in forced.error
        assert "%relay auto" in forced.error


async def test_a_kernelspec_whose_interpreter_is_gone(server: Places, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    write_spec(folder / "gone", relay_to="gone-backend")
    interpreter = str(tmp_path / "venv/bin/python")
    argv = [interpreter, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "gone", "language": "python"}
    (folder / "gone-backend").mkdir(parents=True)
    (folder / "gone-backend" / "kernel.json").write_text(json.dumps(spec))
    async with Notebook(tmp_path, "gone", ready=False) as notebook:
        result = await notebook.run("1")
        assert result.status == "error"
        assert "venv/bin/python" in result.error
        assert "install" in result.error
        # Mended, the next cells run.
        (tmp_path / "venv/bin").mkdir(parents=True)
        script = tmp_path / "venv/bin/python"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        script.chmod(0o755)
        await notebook.run("1")
        async with asyncio.timeout(SOON):
            while (await notebook.run("6 * 7")).status != "ok":
                await asyncio.sleep(0.05)


async def test_a_kernelspec_that_cannot_be_read(server: Places, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    write_spec(folder / "odd", relay_to="odd-backend")
    (folder / "odd-backend").mkdir(parents=True)
    (folder / "odd-backend" / "kernel.json").write_text("{no json")
    async with Notebook(tmp_path, "odd", ready=False) as notebook:
        result = await notebook.run("1")
        assert result.status == "error"
        assert "odd-backend" in result.error
        assert "\n" not in result.error


def write_spec(folder: Path, *, relay_to: str) -> None:
    """A kernelspec of R over the kernelspec ``relay_to``."""
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "relay_kernel", "-f", "{connection_file}", "--spec", relay_to]
    spec = {
        "argv": argv,
        "display_name": folder.name,
        "language": "python",
        "interrupt_mode": "message",
        "env": {"JUPYTER_PATH": str(folder.parent.parent)},
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
