"""A machine that boots: its first process is systemd, and its logind is the real one.

So it can be shut down and restarted in order, and lose power; its services start with it, and its
home outlives that. It is a container of systemd-nspawn over the files of this machine, which it
does not change. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

import psutil

from tests.sshd import make_key
from tests.typed.machines import UID, Machine, Network, need, need_root

#: Seconds for it to start, or to shut down in order.
SOON = 60.0

#: What it says when it was restarted, and when its power was cut.
RESTARTED, CUT = 133, 1

#: For a login without a question.
_QUIETLY = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
)

#: Makes its disk, which outlives its boots, and boots it whenever a line comes.
_POWER = """
set -e
disk="$FOLDER/disk"
mkdir -p "$disk"
mount -t tmpfs none "$disk"
mkdir "$disk/upper" "$disk/work" "$disk/root"
root="$disk/root"
mount -t overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" overlay "$root"
mount --bind "$FOLDER/etc" "$root/etc"
mount --bind "$FOLDER/home" "$root$FOLDER/home"
# The interpreter of the tests may lie where only root gets.
chmod 0755 "$root/root"
eval "$CGROUPS"
echo ready
while read -r _; do
  status=0
  systemd-nspawn --quiet --boot --directory="$root" --machine="$NAME" --hostname="$NAME" \
    --network-namespace-path="$NETWORK" --register=no --keep-unit --console=pipe \
    </dev/null >>"$FOLDER/console.log" 2>&1 || status=$?
  echo "down $status"
done
"""


class Booted(Machine):
    """A machine that is up from the start; see :class:`Machine`.

    A line is typed there in a login of its own. Nothing of the system starts with it but sshd.
    """

    #: What a boot cleans up is in /tmp and /var/tmp.
    _below = "/srv"

    def __init__(
        self, name: str, network: Network, listens: tuple[str, ...], names: dict[str, str]
    ) -> None:
        need_root()
        need("systemd-nspawn", "polkitd", "sudo")
        self._address = listens[0]
        super().__init__(name, network, listens, names)

    @property
    def runtime(self) -> Path:
        return Path("/run/user") / str(UID)

    def boot(self) -> None:
        """Switch it on, and wait until it is up."""
        assert self._init.stdin is not None
        self._init.stdin.write(b"boot\n")
        self._init.stdin.flush()
        deadline = time.monotonic() + SOON
        while True:
            with contextlib.suppress(_NotThereError):
                done = self._try_as_root("systemctl is-system-running --wait")
                if done.stdout.strip() in {"running", "degraded"}:
                    return
            assert time.monotonic() < deadline, (self.folder / "console.log").read_text()
            time.sleep(0.1)

    def as_root(self, line: str) -> str:
        """Type a line as its administrator; what it says. It must succeed."""
        done = self._try_as_root(line)
        assert done.returncode == 0, f"{line}: {done.stdout}"
        return done.stdout

    def restart(self) -> None:
        """Have it shut down in order, and not start yet: its boot menu waits for :meth:`boot`."""
        done = subprocess.run(
            self._shell("sudo systemctl reboot"),
            capture_output=True,
            text=True,
            timeout=SOON,
            check=False,
        )
        # The connection may end before the line does.
        assert done.returncode in {0, 255}, done.stderr

    def cut_power(self) -> None:
        """End all of it, with no word."""
        os.kill(self._first(), signal.SIGKILL)

    def wait_until_down(self) -> int:
        """Wait until it is off; returns :data:`RESTARTED` or :data:`CUT`."""
        assert self._init.stdout is not None
        down, status = self._init.stdout.readline().split()
        assert down == b"down"
        return int(status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(_NotThereError):
            self.cut_power()
            self.wait_until_down()
        assert self._init.stdin is not None
        self._init.stdin.close()
        super().__exit__()

    # ------------------------------------------------------------------ how it is made

    def _try_as_root(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._enter("sh", "-c", line),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SOON,
            check=False,
        )

    def _first(self) -> int:
        nspawn = psutil.Process(self._init.pid).children()
        first = nspawn[0].children() if nspawn else []
        if not first:
            raise _NotThereError
        return first[0].pid

    def _write_etc(self, names: dict[str, str]) -> None:
        make_key(self.folder / "key")
        (self.home / ".ssh").mkdir(mode=0o700)
        public = (self.folder / "key.pub").read_text()
        (self.home / ".ssh" / "authorized_keys").write_text(public)
        super()._write_etc(names)
        (self.etc / "hostname").write_text(f"{self._name}\n")
        with (self.etc / "hosts").open("a") as hosts:
            hosts.write(f"127.0.1.1 {self._name}\n")
        (self.etc / "fstab").write_text("")
        (self.etc / "machine-id").write_text("")
        (self.etc / "sudoers.d").mkdir(exist_ok=True)
        (self.etc / "sudoers.d" / "me").write_text("me ALL=(ALL) NOPASSWD: ALL\n")
        wanted = (self.etc / "systemd" / "system").glob("*.wants/*")
        for service in (*wanted, *self.etc.glob("rc?.d/*")):
            if service.name != "ssh.service":
                service.unlink()

    def _shell(self, line: str, *before: str, online: bool = False) -> list[str]:
        """Log in, as a session that logind knows; with the internet there is no sshd to ask."""
        if online:
            return super()._shell(line, *before, online=True)
        login = ["ssh", *_QUIETLY, "-i", str(self.folder / "key"), *(["-t"] if before else [])]
        entering = ["nsenter", f"--net={self._network.path}", *before, *login]
        return [*entering, f"me@{self._address}", self._typed(line)]

    def _boot(self) -> subprocess.Popen[bytes]:
        power = subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", _POWER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "NAME": self._name,
                "FOLDER": str(self.folder),
                "NETWORK": self._network.path,
                "CGROUPS": self._own_cgroups(),
            },
        )
        assert power.stdout is not None
        assert power.stdout.readline() == b"ready\n"
        return power

    def _start_sshd(self, listens: tuple[str, ...]) -> None:
        with (self.etc / "ssh" / "sshd_config").open("a") as config:
            config.writelines(f"ListenAddress {address}\n" for address in listens)
        self.boot()


class _NotThereError(Exception):
    """It is off."""
