"""Two machines of a person called ``me``, real enough that lines of the docs can be typed there.

Each has a home, a name, processes, a sshd at port 22 and a ``systemd --user`` of its own, in
namespaces; both share one network, in which the addresses of the docs are theirs. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest

from tests.cli.terminal import Terminal, at_terminal
from tests.e2e.rig import REPO
from tests.sshd import find_sshd, make_key

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for a line that downloads and installs.
LONG = 300.0

#: Of nobody else.
UID = 23456

#: Addresses of the two, and the names that they have for each other, as the docs have them.
PC, SERVER = "192.0.2.7", "198.51.100.1"
NAMES = {PC: "desk", SERVER: "srv.example.org srv"}

PASSWORD = "correct horse battery staple"

#: How this machine reaches its package index. A person at a terminal is asked all the same.
_ROAD = re.compile(r"PIP_(?!NO_INPUT)|SSL_CERT|(https?|no)_proxy$", re.IGNORECASE)

#: Runs as root in the new namespaces: makes them look like another machine, and stays.
_INIT = """
set -e
hostname "$NAME"
mount --bind "$FOLDER/etc" /etc
mount -t tmpfs none /run/systemd
mkdir -p /run/systemd/system /run/sshd
# The interpreter of the tests may lie where only root gets.
mkdir -p "$FOLDER/python"
mount --rbind "$PYTHON" "$FOLDER/python"
case "$PYTHON" in
  /root/*)
    mount -t tmpfs -o mode=0755 none /root
    mkdir -p "$PYTHON"
    mount --rbind "$FOLDER/python" "$PYTHON" ;;
esac
echo ready
# As the first process of a machine does: it lets those end whose parents are gone.
exec bash -c 'while :; do sleep 3600 & wait $!; done'
"""

_SSHD_CONFIG = """\
{listen}
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication yes
UsePAM no
PidFile none
PrintMotd no
Subsystem sftp internal-sftp
"""


def need_root() -> None:
    """Without it, a test is skipped; in CI it fails."""
    if os.geteuid() != 0:
        _lacks("root")
    need("unshare", "nsenter", "setpriv")


def need(*programs: str) -> None:
    """Without one of them, a test is skipped; in CI it fails."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/lib/polkit-1:/usr/libexec"
    missing = [each for each in programs if shutil.which(each, path=path) is None]
    if missing:
        _lacks(", ".join(missing))


def _lacks(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


def await_(command: str, pattern: str) -> str:
    """A line that asks until it is told what it waits for, for half a minute."""
    look = f"{command} | tee ~/said | grep -q '{pattern}'"
    return f"for n in $(seq 60); do {look} && break; sleep 0.5; done; cat ~/said"


class Network:
    """A network of its own, in which these addresses are this machine's; also a context manager."""

    def __init__(self, *addresses: str) -> None:
        adding = " && ".join(f"ip address add {each}/32 dev lo" for each in addresses)
        self._process = subprocess.Popen(
            [
                "unshare",
                "--net",
                "sh",
                "-c",
                f"ip link set lo up && {adding} && echo up && exec cat",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"up\n"

    @property
    def pid(self) -> int:
        """Of a process that is in it."""
        return self._process.pid

    @property
    def path(self) -> str:
        """For nsenter."""
        return f"/proc/{self.pid}/ns/net"

    def start(self, *command: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start a program in it; ``how`` as for Popen."""
        return subprocess.Popen(["nsenter", f"--net={self.path}", *command], **how)

    def run(self, line: str) -> None:
        """Type a line in it, as root, that must succeed."""
        assert self.start("sh", "-c", line).wait(60) == 0, line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)


class Machine:
    """One of the two; also a context manager, at whose end all of its processes are.

    Args:
        name: What it calls itself.
        network: Where it is.
        listens: Addresses at whose port 22 its sshd listens.
        names: Address -> name, of the other.

    Attributes:
        path: What else its shell looks for programs in.
        home: The person's.
    """

    def __init__(
        self, name: str, network: Network, listens: tuple[str, ...], names: dict[str, str]
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._below))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.home.mkdir()
        self.path = ""
        self._name = name
        self._network = network
        self._started: list[subprocess.Popen[bytes]] = []
        self._cgroups: list[Path] = []
        self._write_etc(names)
        self._init = self._boot()
        self._start_sshd(listens)

    #: Folder for all that it has; None for that of temporary files.
    _below: str | None = None

    @property
    def runtime(self) -> Path:
        """The person's folder for sockets."""
        return self.folder / "run"

    def copy_source(self) -> None:
        """Put a checkout into its home, and make it the folder in which lines are typed."""
        ignored = shutil.ignore_patterns(
            *(
                ".git",
                ".venv",
                "site",
                "dist",
                ".*_cache",
                ".hypothesis",
                "__pycache__",
                "*.egg-info",
            )
        )
        shutil.copytree(REPO, self.source, ignore=ignored, symlinks=True)
        self.give(self.source)

    @property
    def etc(self) -> Path:
        """Its settings."""
        return self.folder / "etc"

    @property
    def source(self) -> Path:
        """The checkout."""
        return self.home / "relay-kernel"

    def give(self, path: Path) -> None:
        """Make all of it the person's own."""
        subprocess.run(["chown", "-R", f"{UID}:{UID}", str(path)], check=True)

    def run(self, line: str, *, online: bool = False) -> str:
        """Type a line; what it says. It must succeed.

        Args:
            line: As the docs have it.
            online: With the internet, and without the other machine.
        """
        done = subprocess.run(
            self._shell(line, online=online),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONG,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}"
        return done.stdout

    @contextlib.contextmanager
    def terminal(self, line: str, *, online: bool = False) -> Iterator[Terminal]:
        """Type a line at a terminal; see :meth:`run`."""
        # The session is the shell's: what enters the machine shall not hear Ctrl-C.
        shell = self._shell(line, "setsid", "--ctty", "--wait", online=online)
        with at_terminal(*shell, env={**os.environ}) as person:
            person.patience = LONG
            yield person

    def trusts_and_is_let_in_by(self, other: Machine, name: str) -> None:
        """Know the host key of ``other`` under a name, and have a key that it lets in."""
        ssh, theirs = self.home / ".ssh", other.home / ".ssh"
        for folder in (ssh, theirs):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not (ssh / "id_ed25519").exists():
            make_key(ssh / "id_ed25519")
        key = (other.etc / "ssh" / "ssh_host_ed25519_key.pub").read_text()
        with (ssh / "known_hosts").open("a") as known:
            known.write(f"{name} {key}")
        with (theirs / "authorized_keys").open("a") as let_in:
            let_in.write((ssh / "id_ed25519.pub").read_text())
        self.give(ssh)
        other.give(theirs)

    def start_systemd(self) -> None:
        """Start the person's own service manager, as a login would."""
        self.runtime.mkdir(mode=0o700)
        self.give(self.runtime)
        entered = self._own_cgroups()
        manager = ("env", "SYSTEMD_LOG_TARGET=console", "/lib/systemd/systemd", "--user")
        entering = ["sh", "-c", f'{entered} exec "$@"', "sh"]
        with (self.folder / "systemd.log").open("wb") as log:
            self._started.append(
                subprocess.Popen(
                    [*entering, *self._enter(*self._as_me(), *manager)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        running = "systemctl --user is-system-running --quiet"
        asking = f"for n in $(seq 300); do {running} && exit 0; sleep 0.1; done; exit 1"
        self.run(f"({asking}) || (cat {self.folder}/systemd.log; exit 1)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # With the first process of a PID namespace, the kernel ends all others.
        for child in psutil.Process(self._init.pid).children():
            child.kill()
        for process in (*self._started, self._init):
            # It ends with what it has entered the machine for, whose cgroup is free only then.
            process.wait(LONG)
            _end(process)
        for cgroup in self._cgroups:
            for folder, *_ in os.walk(cgroup, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------ how it is made

    def _write_etc(self, names: dict[str, str]) -> None:
        crypt = ["openssl", "passwd", "-6", PASSWORD]
        digest = subprocess.run(crypt, capture_output=True, text=True, check=True).stdout.strip()
        sshd = next((line for line in _lines("/etc/passwd") if line.startswith("sshd:")), "")
        passwd = [_lines("/etc/passwd")[0], sshd, f"me:x:{UID}:{UID}::{self.home}:/bin/bash"]
        shadow = [f"me:{digest}:19000:0:99999:7:::", "root:*:19000:0:99999:7:::"]
        hosts = ["127.0.0.1 localhost", *(f"{address} {name}" for address, name in names.items())]
        group = [*_lines("/etc/group"), f"me:x:{UID}:"]
        # All of it: a file that is mounted over another goes when that one is replaced.
        subprocess.run(["cp", "-a", "/etc", str(self.etc)], check=True)
        written = {"passwd": passwd, "shadow": shadow, "hosts": hosts, "group": group}
        for file, lines in written.items():
            (self.etc / file).write_text("".join(f"{line}\n" for line in lines if line))
        for key in (self.etc / "ssh").glob("ssh_host_*"):
            key.unlink()
        make_key(self.etc / "ssh" / "ssh_host_ed25519_key")
        self.give(self.home)

    def _boot(self) -> subprocess.Popen[bytes]:
        init = subprocess.Popen(
            [
                *("nsenter", f"--net={self._network.path}"),
                *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("sh", "-c", _INIT),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "NAME": self._name,
                "FOLDER": str(self.folder),
                "PYTHON": sys.base_prefix,
            },
        )
        assert init.stdout is not None
        if init.stdout.readline() != b"ready\n":
            _end(init)
            raise AssertionError("the machine did not start")
        return init

    def _start_sshd(self, listens: tuple[str, ...]) -> None:
        config = self.folder / "sshd_config"
        listen = "\n".join(f"ListenAddress {address}" for address in listens)
        config.write_text(_SSHD_CONFIG.format(listen=listen))
        sshd = subprocess.Popen(
            self._enter(find_sshd(), "-D", "-e", "-f", str(config)),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._started.append(sshd)
        assert sshd.stderr is not None
        for line in sshd.stderr:
            if line.startswith(f"Server listening on {listens[-1]}".encode()):
                return
        raise AssertionError("sshd did not start")

    def _enter(self, *command: str, online: bool = False) -> list[str]:
        net = [] if online else [f"--net={self._network.path}"]
        spaces = ["--mount", "--pid", "--uts"]
        return ["nsenter", f"--target={self._first()}", *spaces, *net, *command]

    def _first(self) -> int:
        """Return the pid of its first process."""
        (first,) = psutil.Process(self._init.pid).children()
        return first.pid

    def _as_me(self) -> list[str]:
        me = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
        python = f"{sys.base_prefix}/bin"
        env = {
            "HOME": str(self.home),
            "USER": "me",
            "LOGNAME": "me",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PATH": f"{self.path}:{python}:/usr/bin:/bin:/usr/sbin:/sbin".lstrip(":"),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **{key: value for key, value in os.environ.items() if _ROAD.match(key)},
        }
        return [*me, "env", "-i", *(f"{key}={value}" for key, value in env.items())]

    def _shell(self, line: str, *before: str, online: bool = False) -> list[str]:
        shell = (*before, "bash", "-c", self._typed(line))
        return self._enter(*self._as_me(), *shell, online=online)

    def _typed(self, line: str) -> str:
        """Return a line as it is typed in the checkout, or in the home where there is none."""
        return f"cd {self.source if self.source.exists() else self.home} && {line}"

    def _own_cgroups(self) -> str:
        """Make cgroups for a service manager; return what a shell does to enter them."""
        entering = ""
        for line in _lines("/proc/self/cgroup"):
            _, controllers, path = line.split(":", 2)
            if controllers not in {"", "name=systemd"}:
                continue
            for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
                kind = "systemd" if controllers else "unified"
                below = Path(root) / path.lstrip("/")
                is_unified = (below / "cgroup.controllers").exists()
                if (below / "cgroup.procs").exists() and is_unified == (kind == "unified"):
                    own = below / f"relay-{self.folder.name}"
                    own.mkdir()
                    self.give(own)
                    self._cgroups.append(own)
                    entering += f"echo $$ > {own}/cgroup.procs; "
                    break
        return entering


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()
