"""Putting the agent on a PC: what is found there, what is missing, and that it runs at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay_kernel import __version__
from relay_kernel.link.errors import DialError
from relay_kernel.link.install import install_agent
from relay_kernel.link.pins import pin
from relay_kernel.link.probe import MARKER, Surroundings, agent_python, attach_command, probe
from relay_kernel.link.ssh import Connection, connect
from relay_kernel.link.wheel import pack_wheel
from relay_kernel.settings.config import TargetConfig
from tests.sshd import Sshd, echo_python

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from relay_kernel.settings.paths import Places


@asynccontextmanager
async def dialled(
    pc: Sshd, places: Places, *, python: str | None = None
) -> AsyncIterator[Connection]:
    pin(places, "pc", pc.host_key)
    conn = await connect(pc.target(python=python), places)
    try:
        yield conn
    finally:
        conn.abort()
        await conn.wait_closed()


def bare_path(folder: Path, *names: str, python: str | None = None) -> str:
    """A ``PATH`` with these commands only, and ``python3`` as given."""
    folder.mkdir()
    for name in ("sh", "uname", "getconf", "cat", "mkdir", "mv", "rm", "grep", *names):
        found = next(d / name for d in (Path("/bin"), Path("/usr/bin")) if (d / name).exists())
        (folder / name).symlink_to(found)
    if python is not None:
        script = folder / "python3"
        script.write_text(python)
        script.chmod(0o755)
    return str(folder)


def need_namespaces() -> None:
    """Making a network of one's own takes root."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        if os.environ.get("CI"):
            pytest.fail("needs root and unshare (util-linux)")
        pytest.skip("only root can make a namespace without a network")


@contextmanager
def alone(pc: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TargetConfig]:
    """A PC in a namespace without any network; its sshd speaks over pipes."""
    folder = tmp_path / "user" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder.parent))
    command = f"unshare --net {pc.inetd_command}"
    (folder / "config").write_text(
        f"Host desk\n  User {pc.user}\n  IdentityFile {pc.identity}\n  ProxyCommand {command}\n"
    )
    yield TargetConfig("pc", ssh="desk")


async def missing(conn: Connection) -> str:
    """What the connection's user reads when cells are to run there."""
    with pytest.raises(DialError) as caught:
        attach_command(conn, await probe(conn))
    assert caught.value.permanent
    assert "\n" not in caught.value.reason
    return caught.value.reason


class TestProbe:
    async def test_a_pc_is_described(self, pc: Sshd, places: Places) -> None:
        async with dialled(pc, places) as conn:
            around = await probe(conn, everything=True)
        assert around.system.startswith(("Linux", "Darwin"))
        assert around.host
        assert around.agents == str(pc.relay_home / "agents")
        assert around.installed == {}
        assert around.pythons
        assert len(set(around.pythons)) == len(around.pythons)

    async def test_no_python(self, tmp_path: Path, places: Places) -> None:
        with Sshd(tmp_path / "pc", path=bare_path(tmp_path / "bin")) as pc:
            async with dialled(pc, places) as conn:
                said = await missing(conn)
        assert "has no Python 3.11 or newer (none was found)" in said

    async def test_an_old_python(self, tmp_path: Path, places: Places) -> None:
        path = bare_path(tmp_path / "bin", python="#!/bin/sh\necho 3.9\n")
        with Sshd(tmp_path / "pc", path=path) as pc:
            async with dialled(pc, places) as conn:
                said = await missing(conn)
        assert "has no Python 3.11 or newer (only 3.9)" in said

    async def test_no_agent(self, pc: Sshd, places: Places) -> None:
        async with dialled(pc, places) as conn:
            assert (await missing(conn)).endswith("has no agent installed: run relay add pc")

    async def test_an_agent_of_another_version(self, pc: Sshd, places: Places) -> None:
        env = pc.relay_home / "agents" / "0.0.1"
        (env / "bin").mkdir(parents=True)
        (env / "bin" / "python").symlink_to(sys.executable)
        (env / MARKER).write_text("digest")
        async with dialled(pc, places) as conn:
            said = await missing(conn)
        assert (
            f"has the agent of relay-kernel 0.0.1, but this is {__version__}: run relay add pc"
            in said
        )

    async def test_an_unfinished_agent_does_not_count(self, pc: Sshd, places: Places) -> None:
        env = pc.relay_home / "agents" / __version__
        (env / "bin").mkdir(parents=True)
        (env / "bin" / "python").symlink_to(sys.executable)
        async with dialled(pc, places) as conn:
            assert "has no agent installed" in await missing(conn)

    async def test_a_finished_agent_is_found(self, pc: Sshd, places: Places) -> None:
        env = pc.relay_home / "agents" / __version__
        (env / "bin").mkdir(parents=True)
        (env / "bin" / "python").symlink_to(sys.executable)
        (env / MARKER).write_text("digest")
        async with dialled(pc, places) as conn:
            command = attach_command(conn, await probe(conn))
        assert command == f"{env}/bin/python -m relay_kernel.cli agent --attach"

    async def test_a_named_python(self, pc: Sshd, places: Places, tmp_path: Path) -> None:
        own = echo_python(tmp_path, __version__)
        async with dialled(pc, places, python=own) as conn:
            assert agent_python(conn, await probe(conn)) == own

    async def test_a_named_python_of_another_version(
        self, pc: Sshd, places: Places, tmp_path: Path
    ) -> None:
        async with dialled(pc, places, python=echo_python(tmp_path, "9.9")) as conn:
            assert f"has relay-kernel 9.9, but this is {__version__}" in await missing(conn)

    async def test_a_named_python_without_relay_kernel(
        self, pc: Sshd, places: Places, tmp_path: Path
    ) -> None:
        async with dialled(pc, places, python=echo_python(tmp_path, "")) as conn:
            assert "has no relay-kernel, but this is" in await missing(conn)

    async def test_a_named_python_that_is_not_there(self, pc: Sshd, places: Places) -> None:
        async with dialled(pc, places, python="/nowhere/python") as conn:
            assert "has no /nowhere/python, which config.toml names" in await missing(conn)

    async def test_no_shell(self, tmp_path: Path, places: Places) -> None:
        with Sshd(tmp_path / "pc", options=("ForceCommand echo no shell here",)) as pc:
            async with dialled(pc, places) as conn:
                with pytest.raises(DialError, match="runs no commands over SSH: it said 'no shell"):
                    await probe(conn)

    def test_the_closest_python_wins(self) -> None:
        around = Surroundings(pythons=[((3, 9), "old"), ((3, 12), "good"), ((3, 13), "later")])
        assert around.suitable_python() == "good"


class TestInstall:
    @pytest.mark.timeout(600)
    async def test_it_is_installed_once_and_runs(self, pc: Sshd, places: Places) -> None:
        shown: list[str] = []
        async with dialled(pc, places) as conn:
            around = await probe(conn, everything=True)
            first = await install_agent(conn, around, show=shown.append)
            again = await install_agent(conn, await probe(conn, everything=True))
        assert first.fresh
        assert not again.fresh
        assert first.python == again.python == f"{around.agents}/{__version__}/bin/python"
        assert [line.split()[0] for line in shown] == ["putting", "sending", "installing"]
        uv = [str(Path(first.python).with_name("uv")), "--version"]
        assert subprocess.run(uv, capture_output=True, check=True).stdout.startswith(b"uv ")
        said = subprocess.run(
            [first.python, "-m", "relay_kernel.cli", "--version"],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
        ).stdout
        assert said == f"relay-kernel {__version__}\n"

    async def test_a_python_without_venv(self, tmp_path: Path, places: Places) -> None:
        """Debian splits it off, and its own message is three paragraphs long."""
        crippled = (
            f'#!/bin/sh\ncase "$*" in "-m venv"*) echo ensurepip is not available; exit 1 ;; esac\n'
            f'exec {sys.executable} "$@"\n'
        )
        path = bare_path(tmp_path / "bin", python=crippled)
        with Sshd(tmp_path / "pc", path=path) as pc:
            async with dialled(pc, places) as conn:
                around = await probe(conn, everything=True)
                with pytest.raises(DialError, match="cannot make a virtual environment") as caught:
                    await install_agent(conn, around)
                assert "sudo apt install python3-venv" in caught.value.reason
                assert "has no agent installed" in await missing(conn)

    @pytest.mark.timeout(300)
    async def test_a_pc_without_any_network(
        self, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing but SSH reaches it: no index, no name server, not even a loopback address."""
        need_namespaces()
        pc = Sshd(tmp_path / "pc")
        with pc, alone(pc, tmp_path, monkeypatch) as target:
            pin(places, "pc", pc.host_key)
            conn = await connect(target, places)
            cut_off = await conn.run("cat /proc/net/route | wc -l", timeout=10)
            done = await install_agent(conn, await probe(conn, everything=True))
            conn.abort()
        assert cut_off.output.strip() in {"0", "1"}
        assert done.fresh
        # Meanwhile the loop hears that the process below the connection has ended.
        check = [done.python, "-m", "pip", "check"]
        said = await asyncio.to_thread(subprocess.run, check, capture_output=True, check=False)
        assert said.returncode == 0, said.stdout

    @pytest.mark.timeout(300)
    async def test_only_what_is_missing_is_sent(self, pc: Sshd, places: Places) -> None:
        shown: list[str] = []
        async with dialled(pc, places) as conn:
            await install_agent(conn, await probe(conn, everything=True))
            (pc.relay_home / "agents" / __version__ / MARKER).unlink()
            around = await probe(conn, everything=True)
            assert (await install_agent(conn, around, show=shown.append)).fresh
        assert shown == [
            *("putting together what it needs", "installing it there in an environment of its own")
        ]

    async def test_another_machine_and_no_internet_anywhere(
        self, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is compiled here does not run there, and nobody can fetch what does."""
        (tmp_path / "sitecustomize.py").write_text(
            "import platform\nplatform.machine = lambda: 'riscv64'\n"
        )
        offline = {
            **{"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": "/nowhere"},
        }
        for key, value in offline.items():
            monkeypatch.setenv(key, value)
        with Sshd(tmp_path / "pc", env={**offline, "PYTHONPATH": str(tmp_path)}) as pc:
            async with dialled(pc, places) as conn:
                with pytest.raises(DialError, match="pip failed there: ERROR:") as caught:
                    await install_agent(conn, await probe(conn, everything=True))
                assert "\n" not in caught.value.reason
                assert "and on the server: " in caught.value.reason
                assert "cannot be fetched here" in caught.value.reason
                assert "has no agent installed" in await missing(conn)

    async def test_a_full_or_closed_folder(self, pc: Sshd, places: Places) -> None:
        pc.relay_home.write_text("in the way")
        async with dialled(pc, places) as conn:
            with pytest.raises(DialError, match="could not store"):
                await install_agent(conn, await probe(conn, everything=True))

    async def test_a_named_python_must_run(self, pc: Sshd, places: Places, tmp_path: Path) -> None:
        own = echo_python(tmp_path, __version__)
        async with dialled(pc, places, python=own) as conn:
            with pytest.raises(DialError, match="does not run"):
                await install_agent(conn, await probe(conn, everything=True))

    async def test_a_named_python_is_used_as_it_is(self, pc: Sshd, places: Places) -> None:
        async with dialled(pc, places, python=sys.executable) as conn:
            done = await install_agent(conn, await probe(conn, everything=True))
        assert (done.python, done.fresh) == (sys.executable, False)
        assert not pc.relay_home.exists()


class TestWheel:
    def test_equal_content_gives_equal_bytes(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        assert pack_wheel(tmp_path / "a") == pack_wheel(tmp_path / "b")

    def test_it_holds_what_runs_here(self, tmp_path: Path) -> None:
        wheel = pack_wheel(tmp_path)
        with zipfile.ZipFile(tmp_path / wheel.name) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            info = f"relay_kernel-{__version__}.dist-info"
            assert f"Version: {__version__}\n" in archive.read(f"{info}/METADATA").decode()
            assert (
                "relay = relay_kernel.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
            )
        assert "relay_kernel/link/ssh.py" in names
        assert "relay_kernel/inkernel/__init__.py" in names
        assert any(name.endswith("share/jupyter/kernels/relay/kernel.json") for name in names)
        assert not any("__pycache__" in name for name in names)
