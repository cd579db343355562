"""A PC for tests: a real sshd on a loopback port, with keys, a home and a life of its own."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
import pytest

from relay_kernel import __version__
from relay_kernel.link.pins import HostKey, pin
from relay_kernel.link.probe import MARKER
from relay_kernel.settings.config import TargetConfig
from tests.ports import free_port
from tests.processes import wait_ended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay_kernel.settings.paths import Places

START_TIMEOUT = 10.0


def find_sshd() -> str:
    """The sshd binary; without one the test is skipped, in CI it fails."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("sshd is missing: install openssh-server")
        pytest.skip("needs sshd (openssh-server)")
    return found


class Sshd:
    """One sshd, started by :meth:`start` and ended by :meth:`stop`; also a context manager.

    Works as any user, and logs in as the one who runs the tests.

    Attributes:
        host, port: Where it listens.
        user: Who may log in.
        identity: The private key that it accepts.
        home: ``RELAY_HOME`` and ``HOME`` of what runs "on the PC".
        log: What it said so far, a line each.
    """

    #: What starts the binary, if it is not started as it is.
    starter: tuple[str, ...] = ()

    def __init__(
        self,
        tmp_path: Path,
        *,
        host: str = "127.0.0.1",
        passwords_only: bool = False,
        path: str | None = None,
        env: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        """Make keys and settings.

        Args:
            tmp_path: A folder of its own.
            host: The address that it listens on.
            passwords_only: Offer no other way to log in.
            path: ``PATH`` of what runs there.
            env: More environment for what runs there.
            options: More lines of sshd_config; the first of a kind wins over ours.
        """
        self._binary = find_sshd()
        self._folder = tmp_path
        self._process: subprocess.Popen[str] | None = None
        self.host, self.port = host, free_port(host)
        self.user = getpass.getuser()
        # Short, for the sockets in it.
        self.home = Path(tempfile.mkdtemp(prefix="pc-"))
        weakref.finalize(self, shutil.rmtree, self.home, ignore_errors=True)
        self.identity = tmp_path / "id_ed25519"
        self.log: list[str] = []
        tmp_path.mkdir(parents=True, exist_ok=True)
        self._keys = tmp_path / "authorized_keys"
        make_key(self.identity)
        self._keys.write_text(self.identity.with_suffix(".pub").read_text())
        make_key(tmp_path / "host_key")
        set_env = {"HOME": str(self.home), "RELAY_HOME": str(self.home / "relay"), **(env or {})}
        if path is not None:
            set_env["PATH"] = path
        # sshd takes the first SetEnv only, with all its values.
        shown = " ".join(shlex.quote(f"{key}={value}") for key, value in set_env.items())
        self._write_config(shown, passwords_only, options)

    @property
    def address(self) -> str:
        """As given to ``relay add --ssh``."""
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def relay_home(self) -> Path:
        """``RELAY_HOME`` there."""
        return self.home / "relay"

    @property
    def host_key(self) -> HostKey:
        """The public host key that it shows."""
        kind, blob, *_ = (self._folder / "host_key.pub").read_text().split()
        return HostKey(kind, blob)

    def target(self, name: str = "pc", *, python: str | None = None) -> TargetConfig:
        """This PC as ``config.toml`` would describe it."""
        return TargetConfig(name, ssh=self.address, identity=self.identity, python=python)

    def pair(self, places: Places, name: str = "pc", *, python: str | None = None) -> TargetConfig:
        """Pin its key and write ``config.toml`` at ``places``, as ``relay add`` would."""
        from relay_kernel.settings.edit import add_target

        target = self.target(name, python=python)
        pin(places, name, self.host_key)
        add_target(
            places.config, name, ssh=target.ssh, identity=target.identity, python=target.python
        )
        return target

    def install_agent(self, interpreter: str = sys.executable) -> None:
        """Have an agent of this version there, as ``relay add`` leaves one.

        Args:
            interpreter: that has relay-kernel; by default it is this very code.
        """
        folder = self.relay_home / "agents" / __version__
        (folder / "bin").mkdir(parents=True)
        python = folder / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(interpreter)} "$@"\n')
        python.chmod(0o755)
        (folder / MARKER).write_text("of the tests\n")

    @property
    def inetd_command(self) -> str:
        """Serves one connection over its standard streams, as a ``ProxyCommand`` wants it."""
        return shlex.join(
            [
                self._binary,
                "-i",
                "-E",
                str(self._folder / "inetd.log"),
                "-f",
                str(self._folder / "sshd_config"),
            ]
        )

    def let_in(self, *lines: str) -> None:
        """Let in whom these lines of authorized_keys let in, and nobody else."""
        self._keys.write_text("".join(f"{line}\n" for line in lines))

    def start(self) -> Self:
        """Start it; returns when it accepts connections."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        ready = threading.Event()
        self._process = subprocess.Popen(
            [*self.starter, self._binary, "-D", "-e", "-f", str(self._folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen, args=(ready,), daemon=True)
        self._listener.start()
        if not ready.wait(START_TIMEOUT) or self._process.poll() is not None:
            self.stop()
            raise AssertionError("sshd did not start:\n" + "\n".join(self.log))
        return self

    @property
    def is_running(self) -> bool:
        """Whether :meth:`start` was called, and :meth:`stop` was not since."""
        return self._process is not None

    def stop(self) -> None:
        """End it and its connections, as a shutdown would."""
        if self._process is None:
            return
        self.resume()
        self.kill_connections()
        self._process.terminate()
        self._process.wait(START_TIMEOUT)
        self._listener.join(START_TIMEOUT)
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process = None

    def kill_connections(self) -> int:
        """SIGKILL what serves the connections that stand; says how many processes that were.

        The listener lives on, and takes new connections.
        """
        children = self._connections()
        for child in children:
            _signal(child, signal.SIGKILL)
        wait_ended(*children, within=START_TIMEOUT)
        return len(children)

    def pause(self) -> None:
        """Stop it and its connections answering; nothing is closed."""
        for process in self._everything():
            _signal(process, signal.SIGSTOP)

    def resume(self) -> None:
        """The reverse of :meth:`pause`."""
        for process in self._everything():
            _signal(process, signal.SIGCONT)

    def new_host_key(self) -> HostKey:
        """Set the machine up anew: another host key from its next connection on."""
        running = self.is_running
        self.stop()
        for old in (self._folder / "host_key", self._folder / "host_key.pub"):
            old.unlink()
        make_key(self._folder / "host_key")
        if running:
            self.start()
        return self.host_key

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listen(self, ready: threading.Event) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line.rstrip())
            if line.startswith("Server listening"):
                ready.set()
        ready.set()

    def _everything(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        return [psutil.Process(self._process.pid), *self._connections()]

    def _connections(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        found = []
        for child in psutil.Process(self._process.pid).children(recursive=True):
            try:
                if child.name().startswith("sshd"):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def _write_config(self, env: str, passwords_only: bool, options: tuple[str, ...]) -> None:
        own_key = f"HostKey {self._folder / 'host_key'}"
        lines = [
            *options,
            f"ListenAddress {self.host}",
            f"Port {self.port}",
            *([] if any(line.startswith("HostKey ") for line in options) else [own_key]),
            f"AuthorizedKeysFile {self._keys}",
            f"PubkeyAuthentication {'no' if passwords_only else 'yes'}",
            f"PasswordAuthentication {'yes' if passwords_only else 'no'}",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin yes",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "PrintMotd no",
            f"SetEnv {env}",
        ]
        config = self._folder / "sshd_config"
        config.write_text("\n".join(lines) + "\n")
        # From OpenSSH 9.8 on, failed logins are punished with silence; older ones do not know it.
        extra = ["-o", "PerSourcePenalties=no"]
        known = subprocess.run(
            [self._binary, "-t", "-f", str(config), *extra], capture_output=True, check=False
        )
        if known.returncode == 0:
            config.write_text("\n".join([*lines, "PerSourcePenalties no"]) + "\n")


def make_key(path: Path, passphrase: str = "", *, kind: str = "ed25519") -> Path:
    """A new key pair at ``path``."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


def echo_python(folder: Path, version: str) -> str:
    """A stand-in for the agent's interpreter on the PC: it says ``version`` and echoes bytes."""
    script = folder / "echo-python"
    script.write_text(f'#!/bin/sh\ncase "$1" in -c) echo {version} ;; *) exec cat ;; esac\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[Sshd]:
    """A PC that is on, with a shell and a Python, and no agent yet."""
    with Sshd(tmp_path / "pc") as sshd:
        yield sshd


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
