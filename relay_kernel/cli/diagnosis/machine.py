"""Judges one machine: the server, or a PC. Facts in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.cli.diagnosis.finding import Finding, fault, ok, skipped, warning
from relay_kernel.link.probe import OLDEST

if TYPE_CHECKING:
    from relay_kernel.link.survey import Disk, Machine

#: The oldest ipykernel of R itself, and of the kernels behind it.
IPYKERNEL_HERE = (7, 3)
IPYKERNEL_THERE = (6, 29)

#: Bytes free below which little goes on, and nothing.
SCARCE = 2 << 30
FULL = 200 << 20

#: Watches and instances of inotify below which a folder of some size is not watched.
WATCHES = 65_536
INSTANCES = 64

#: Seconds of a clock's difference that are of no matter, and that break certificates and builds.
CLOCK_CLOSE = 2.0
CLOCK_WRONG = 3600.0


def judge_python(machine: Machine) -> Finding:
    """Whether relay-kernel runs on it."""
    found = f"{dotted(machine.python)}, {machine.executable}"
    if machine.python[:2] >= OLDEST:
        return ok("Python", found)
    least = dotted(OLDEST)
    return fault("Python", found, f"install Python {least} or newer there, then run relay add")


def judge_same_python(server: Machine, pc: Machine, *, own: bool) -> Finding:
    """Whether variables can move: code does not cross minor versions.

    Args:
        server: Where R runs.
        pc: The target.
        own: Whether cells run in an environment of the PC's own, which is not mirrored.
    """
    here, there = dotted(server.python[:2]), dotted(pc.python[:2])
    if here == there:
        return ok("same Python", f"{here} at both ends")
    found = f"{there} there and {here} on the server"
    if not own:
        return ok("same Python", f"{found}; mirrored environments get the server's")
    mend = f"name a Python {here} as python in config.toml, or leave python out"
    return warning("same Python", f"{found}: variables cannot move between them", mend)


def judge_ipykernel(machine: Machine, least: tuple[int, int]) -> Finding:
    """Whether kernels run in the interpreter that looked."""
    version = machine.packages.get("ipykernel", "")
    mend = f"{machine.executable} -m pip install 'ipykernel>={dotted(least)}'"
    if not version:
        return fault("ipykernel", f"none in {machine.executable}", mend)
    if parsed(version) < least:
        return fault("ipykernel", f"{version}, and {dotted(least)} is needed", mend)
    return ok("ipykernel", version)


def judge_uv(machine: Machine) -> Finding:
    """Whether environments can be built there."""
    if not machine.uv:
        mend = f"{machine.executable} -m pip install uv"
        return warning("uv", "none: environments are not mirrored", mend)
    path, version = machine.uv[0], machine.uv[-1]
    if not version or path == version:
        mend = f"{path} --version says why; {machine.executable} -m pip install -U uv"
        return fault("uv", f"{path} does not run", mend)
    return ok("uv", f"{version.removeprefix('uv ').split()[0]}, {path}")


def judge_gpu(machine: Machine) -> Finding:
    """Whether its GPU can be used, if it has one."""
    if machine.gpus.trouble:
        mend = "run nvidia-smi there; after an update of the driver, restart the machine"
        return warning("GPU", machine.gpus.trouble, mend)
    return ok("GPU", "; ".join(machine.gpus.names) or "no NVIDIA GPU")


def judge_disk(disk: Disk) -> Finding:
    """Whether there is room for files and state."""
    name = f"disk of {disk.name}"
    found = f"{gigabytes(disk.free)} of {gigabytes(disk.total)} free at {disk.path}"
    mend = f"make room there: du -xh {disk.path} | sort -h | tail"
    if disk.free < FULL:
        return fault(name, found, mend)
    return warning(name, found, mend) if disk.free < SCARCE else ok(name, found)


def judge_inotify(machine: Machine) -> Finding:
    """Whether large folders can be watched."""
    if machine.watches is None or machine.instances is None:
        return skipped("inotify", f"{machine.system} has none")
    found = f"{machine.watches} watches, {machine.instances} instances a user"
    wanted = []
    if machine.watches < WATCHES:
        wanted.append("fs.inotify.max_user_watches=524288")
    if machine.instances < INSTANCES:
        wanted.append("fs.inotify.max_user_instances=512")
    if not wanted:
        return ok("inotify", found)
    mend = f"sudo sysctl -w {' '.join(wanted)}, and the same in /etc/sysctl.d/90-inotify.conf"
    return warning("inotify", f"{found}: folders of more are not watched", mend)


def judge_clock(pc: Machine) -> Finding:
    """Whether the PC's clock goes with the server's."""
    off = abs(pc.ahead)
    if off < CLOCK_CLOSE:
        return ok("clock", f"within {CLOCK_CLOSE:g} s of the server's")
    found = f"{off:.0f} s {'ahead of' if pc.ahead > 0 else 'behind'} the server's"
    mend = "on the machine that is wrong (date -u): sudo timedatectl set-ntp true"
    if off >= CLOCK_WRONG:
        return fault("clock", f"{found}: certificates and builds go wrong", mend)
    return warning("clock", f"{found}: times of files and logs do not compare", mend)


def judge_goodbye(pc: Machine) -> Finding:
    """Whether the server hears at once that a PC shuts down or goes to sleep."""
    name = "goodbye"
    if pc.no_goodbye is None:
        return skipped(name, "the PC has no logind: that it goes is noticed by its silence")
    if not pc.no_goodbye:
        return ok(name, "shutdown and sleep wait until they are announced")
    found = f"shutdown and sleep do not wait until they are announced: {pc.no_goodbye}"
    return warning(name, found, "install polkit on the PC (Debian: sudo apt install polkitd)")


def judge_machine(machine: Machine) -> list[Finding]:
    """What is asked of every machine."""
    return [
        *(judge_disk(disk) for disk in machine.disks),
        judge_inotify(machine),
        judge_uv(machine),
        judge_gpu(machine),
    ]


def dotted(version: tuple[int, ...]) -> str:
    """``3.11``."""
    return ".".join(map(str, version))


def parsed(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    numbers = []
    for part in version.split(".")[:2]:
        digits = "".join(letter for letter in part if letter.isdigit())
        numbers.append(int(digits or 0))
    return tuple(numbers)


def gigabytes(count: int) -> str:
    """``1.5 GB``."""
    return f"{count / 1e9:.1f} GB"
