"""A PC that loses its power: its home is a disk of its own, of which only what was flushed is left.

The disk is a file with ext4 in it. At the moment of the cut the filesystem is told to shut down
without writing its journal, which leaves what a power cut would. The PC's processes see a boot id
of their own, which is another one after each cut.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import struct
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Self

import psutil
import pytest

from tests.processes import wait_ended
from tests.sshd import START_TIMEOUT, Sshd

if TYPE_CHECKING:
    from pathlib import Path

#: EXT4_IOC_SHUTDOWN, and not to flush the journal first.
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2
#: Bytes of the disk; the file is sparse.
SIZE = 512 << 20
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
#: Lays a file over the boot id for the processes of one PC, and starts one.
_WITH_BOOT_ID = f'mount --bind "$0" {_BOOT_ID} && exec "$@"'


class Disk:
    """An ext4 filesystem in a file.

    Args:
        image: the file; made here.
        place: where it is mounted.
    """

    def __init__(self, image: Path, place: Path) -> None:
        if os.getuid() != 0:
            _missing("only root can mount a disk")
        self._place = place
        with image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-F", "-b", "4096", str(image))
        self._device = _run("losetup", "--find", "--show", str(image)).strip()

    def mount(self) -> None:
        """Have it at its place. Whatever had it before must be gone."""
        self._released()
        _run("mount", "-t", "ext4", self._device, str(self._place))

    def cut(self) -> None:
        """Nothing more reaches it, and what has not reached it is gone."""
        fd = os.open(self._place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """Take it off; whoever is on it must have ended."""
        deadline = time.monotonic() + START_TIMEOUT
        while subprocess.run(["umount", self._place], capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, "somebody is still on the disk"
            time.sleep(0.02)

    def _released(self) -> None:
        """Wait until no mount is left, also of those who had a view of their own."""
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                os.close(os.open(self._device, os.O_RDONLY | os.O_EXCL))
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                assert time.monotonic() < deadline, "the disk is still mounted somewhere"
                time.sleep(0.02)
            else:
                return

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(AssertionError):
            self._released()
        subprocess.run(["losetup", "--detach", self._device], capture_output=True, check=False)


class PoweredPc(Sshd):
    """A PC with such a disk as its home. Its boot id can be kept as it was, for planted faults."""

    def __init__(self, folder: Path, *, env: dict[str, str] | None = None) -> None:
        super().__init__(folder, env=env)
        self.disk = Disk(folder / "disk", self.home)
        self._boot_id = folder / "boot_id"
        self.starter = (
            *("unshare", "--mount", "--propagation", "private"),
            *("sh", "-c", _WITH_BOOT_ID, str(self._boot_id)),
        )
        self.new_boot()

    def new_boot(self) -> None:
        """From now on it is another boot."""
        self._boot_id.write_text(f"{uuid.uuid4()}\n")

    def lose_power(self) -> None:
        """All at once: nobody has the time to say anything."""
        assert self._process is not None
        self.pause()
        processes = [*self._everything(), *self._own()]
        _signal_all(processes, signal.SIGSTOP)
        self.disk.cut()
        _signal_all(processes, signal.SIGKILL)
        wait_ended(*processes, within=START_TIMEOUT)
        self._process.wait(START_TIMEOUT)
        self._listener.join(START_TIMEOUT)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None
        self.disk.unmount()

    def power_on(self) -> None:
        """The disk is there again; nothing runs yet."""
        self.disk.mount()

    def _own(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("RELAY_HOME") == str(self.relay_home):
                    found.append(process)
        return found

    def __enter__(self) -> Self:
        self.power_on()
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        own = self._own()
        _signal_all(own, signal.SIGKILL)
        wait_ended(*own, within=START_TIMEOUT)
        self.disk.unmount()
        self.disk.close()


def _signal_all(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        _missing(f"{command[0]} is not installed")
    if done.returncode:
        _missing(done.stderr.strip())
    return done.stdout


def _missing(what: str) -> None:
    """Skip the test for want of ``what``; in CI fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"a disk that loses its power cannot be made: {what}")
    pytest.skip(f"needs a disk that can lose its power: {what}")
