"""Runs on any machine, as a program: says as JSON what the machine is like. For ``relay doctor``.

Sent as text to a PC that has no agent yet, so only the standard library, and the syntax of Python
3.7. Judges nothing: see :mod:`relay_kernel.cli.diagnosis`.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import shutil
import subprocess
import sys
import time

#: Seconds for another program to answer.
PATIENCE = 15.0

#: sshd's own file, where its command line names none.
SSHD_CONFIG = "/etc/ssh/sshd_config"

#: Files that include others do so at most so deep, as sshd has it.
DEEPEST = 16


def describe() -> dict[str, object]:
    """Everything; the clock is read last."""
    python = sys.version_info
    return {
        "host": platform.node(),
        "system": " ".join((platform.system(), platform.machine())),
        "python": [python.major, python.minor, python.micro],
        "executable": sys.executable,
        "packages": {name: version(name) for name in ("relay-kernel", "ipykernel")},
        "uv": find_uv(),
        "gpus": find_gpus(),
        "disks": [room(name, path) for name, path in folders()],
        "watches": limit("max_user_watches"),
        "instances": limit("max_user_instances"),
        "sshd": read_sshd(),
        "linger": lingers(),
        "join_unit": unit("relay-join.service"),
        "no_goodbye": no_goodbye(),
        "ends_with_login": ends_with_login(),
        "clock": time.time(),
    }


def version(package: str) -> str:
    """The version of a package of this interpreter; empty if it is not there."""
    try:
        from importlib import metadata

        return metadata.version(package)
    except Exception:
        return ""


def run(*command: str) -> tuple[int, str]:
    """The exit status of a program, -1 if it did not run or end; and what it said."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return -1, str(error)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def find_uv() -> list[str]:
    """Path and version of uv, the latter empty if it does not run; nothing if there is none."""
    beside = os.path.join(os.path.dirname(sys.executable), "uv")
    path = beside if os.path.isfile(beside) else shutil.which("uv")
    if path is None:
        return []
    status, said = run(path, "--version")
    return [path, said if status == 0 else ""]


def find_gpus() -> dict[str, object]:
    """The NVIDIA GPUs: ``names``, and the ``trouble`` that their driver has."""
    program = shutil.which("nvidia-smi")
    if program is None:
        driver = os.path.isdir("/proc/driver/nvidia/gpus")
        trouble = "there is a GPU, and no nvidia-smi to ask about it" if driver else ""
        return {"names": [], "trouble": trouble}
    status, said = run(program, "--query-gpu=name,memory.total", "--format=csv,noheader")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if status != 0:
        return {"names": [], "trouble": (lines or ["nvidia-smi failed"])[0][:200]}
    return {"names": lines, "trouble": ""}


def folders() -> list[tuple[str, str]]:
    """The folders that fill up: what they are for, and their path."""
    home = os.path.expanduser("~")
    own = os.environ.get("RELAY_HOME")
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    state = os.path.join(own, "state") if own else os.path.join(state, "relay-kernel")
    return [("home", home), ("state", state)]


def room(name: str, path: str) -> dict[str, object]:
    """How many bytes are free on the disk of ``path``, which need not be there yet."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    usage = shutil.disk_usage(path)
    return {"name": name, "path": path, "free": usage.free, "total": usage.total}


def limit(name: str) -> int | None:
    """A limit of inotify, of which each user has so many."""
    text = read(os.path.join("/proc/sys/fs/inotify", name)).strip()
    return int(text) if text.isdigit() else None


def read(path: str) -> str:
    """The text of a file; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# ------------------------------------------------------------------ sshd


def read_sshd() -> dict[str, object]:
    """The settings of the sshd that this runs below, else of the machine's own.

    Read from its file, since sshd itself tells them to root alone. What stands in a ``Match``
    block is not looked at.
    """
    file, settings = sshd_command(ancestors())
    if not os.access(file, os.R_OK):
        return {"file": file if os.path.exists(file) else "", "readable": False, "settings": {}}
    read_settings(file, settings, DEEPEST)
    return {"file": file, "readable": True, "settings": settings}


def ancestors() -> list[str]:
    """The command lines of the processes above this one, the nearest first."""
    found: list[str] = []
    pid = os.getppid()
    while pid > 1 and len(found) < DEEPEST:
        found.append(read(f"/proc/{pid}/cmdline").replace("\0", " ").strip())
        # The name in brackets may hold anything.
        after = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        pid = int(after[1]) if len(after) > 1 else 0
    return found


def sshd_command(lines: list[str]) -> tuple[str, dict[str, str]]:
    """File and options of the first sshd among command lines that says them."""
    for line in lines:
        words = line.split()
        if "sshd" not in line or "-f" not in words[:-1]:
            continue
        options = {}
        for place, word in enumerate(words[1:], 1):
            if words[place - 1] == "-o" and "=" in word:
                name, _, setting = word.partition("=")
                options[name.lower()] = setting
        return words[words.index("-f") + 1], options
    return SSHD_CONFIG, {}


def read_settings(file: str, settings: dict[str, str], depth: int) -> bool:
    """Add the settings of a file; the first of a name holds. False once a ``Match`` has come."""
    for line in read(file).splitlines():
        words = line.split("#")[0].replace("=", " ", 1).split(None, 1) or [""]
        name, value = words[0].lower(), words[-1].strip().strip('"')
        if name == "match":
            return False
        if name == "include" and depth:
            for pattern in value.split():
                for path in sorted(glob.glob(os.path.join(os.path.dirname(SSHD_CONFIG), pattern))):
                    read_settings(path, settings, depth - 1)
        elif name:
            settings.setdefault(name, value)
    return True


# ------------------------------------------------------------------ systemd


def lingers() -> bool | None:
    """Whether this user's services run without a login; ``None`` without systemd."""
    if not os.path.isdir("/run/systemd/system"):
        return None
    import pwd

    name = pwd.getpwuid(os.getuid()).pw_name
    return os.path.exists(os.path.join("/var/lib/systemd/linger", name))


def unit(name: str) -> str | None:
    """``system`` or ``user``, for whose unit runs; empty if none does; ``None`` without systemd."""
    if not os.path.isdir("/run/systemd/system"):
        return None
    for whose, manager in (("system", ["systemctl"]), ("user", ["systemctl", "--user"])):
        if run(*manager, "is-active", "--quiet", name)[0] == 0:
            return whose
    return ""


def no_goodbye() -> str | None:
    """Why shutdown and sleep do not wait for a goodbye; empty: they do; ``None`` without logind."""
    if not os.path.isdir("/run/systemd/system") or shutil.which("systemd-inhibit") is None:
        return None
    for what in ("shutdown", "sleep"):
        lock = ("--mode=delay", "--who=relay-kernel", "--why=relay doctor asks whether it may")
        status, said = run("systemd-inhibit", "--what=" + what, *lock, "true")
        if status != 0:
            return (said.splitlines() or ["systemd-inhibit failed"])[-1][:200]
    return ""


def ends_with_login() -> bool:
    """Whether logind ends what a login has started when that login ends."""
    logind = ("org.freedesktop.login1", "/org/freedesktop/login1")
    asked = (*logind, "org.freedesktop.login1.Manager", "KillUserProcesses")
    # root is what KillExcludeUsers has unless somebody changes it.
    return os.getuid() != 0 and run("busctl", "get-property", *asked) == (0, "b true")


if __name__ == "__main__":
    print(json.dumps(describe()))
