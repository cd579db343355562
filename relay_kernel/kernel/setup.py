"""What one R was started with."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from relay_kernel.settings.paths import machine

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

#: Said of a machine or its user, not of a kernel.
_OF_MACHINE = frozenset(
    {
        *("HOME", "PATH", "PWD", "OLDPWD", "SHELL", "SHLVL", "USER", "LOGNAME", "HOSTNAME", "MAIL"),
        *("TMPDIR", "DISPLAY", "PYTHONHOME", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PS1", "_"),
    }
)
#: What Jupyter and R say to one another, and what goes with a login.
_OF_OTHERS = ("RELAY_", "JPY_", "JUPYTER_", "SSH_", "XDG_", "LD_", "DBUS_", "CONDA_", "PYTEST_")
#: A folder that is there on every machine, whatever its TMPDIR.
_TEMPORARY = "/tmp" if os.name == "posix" else tempfile.gettempdir()


def own_environment() -> dict[str, str]:
    """What was set for this kernel, by its kernelspec or by who started it; not for its machine."""
    try:
        before = psutil.Process(os.getppid()).environ()
    except (psutil.Error, OSError):
        return {}
    return {
        name: value
        for name, value in os.environ.items()
        if before.get(name) != value and name not in _OF_MACHINE and not name.startswith(_OF_OTHERS)
    }


def notebook_of(connection_file: str) -> str:
    """The id that Jupyter gave this kernel, which names its connection file."""
    name = Path(connection_file).stem.removeprefix("kernel-")
    return re.sub(r"[^0-9A-Za-z-]", "-", name) or "unnamed"


@dataclass
class Setup:
    """Which notebook, and what runs it."""

    notebook: str
    """Names it among the user's notebooks that are open: the id of its kernel."""
    spec: str
    """The kernelspec that it relays to."""
    path: str | None = field(default_factory=lambda: os.environ.get("JPY_SESSION_NAME"))
    """The notebook's file, where Jupyter tells: the same for its next kernel."""
    hash_seed: int = field(default_factory=lambda: secrets.randbelow(2**32 - 1) + 1)
    """The same at all targets: the order of a set depends on it."""

    cells: str = field(default_factory=lambda: f"{_TEMPORARY}/ipykernel_{secrets.token_hex(8)}")
    """The folder in which all its kernels say the files of cells are: breakpoints name them."""
    arguments: tuple[str, ...] = ()
    """What R was started with and is not about R itself: for the user's kernels."""
    env: dict[str, str] = field(default_factory=own_environment)
    """What R's environment has and that of Jupyter has not: set for this kernel alone."""
    limits: dict[str, float] = field(default_factory=dict)
    """What packing one variable may take: ``seconds_per_component``, ``bytes_per_component``."""

    key: str = ""
    """What front ends know the signatures of; empty where they want them made in another way."""

    def make_folder(self, places: Places) -> Path:
        """Make the folder for the sockets of the server's kernel. Short, for these."""
        folder = places.run / f"k{self.notebook[-8:]}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def start(self, *, far: bool) -> dict[str, Any]:
        """What a kernel starts with, at a ``far`` target or here: the head of an order, in part."""
        home, here = Path.home(), Path.cwd()
        near = here.relative_to(home) if here.is_relative_to(home) else here
        env = {**(self.env if far else {})}
        env["PYTHONHASHSEED"] = os.environ.get("PYTHONHASHSEED", str(self.hash_seed))
        if self.path:
            env["JPY_SESSION_NAME"] = self.path
        cwd = str(near if far else here)
        whose = {"server": machine()} if far else {}
        return {
            **whose,
            "spec": self.spec,
            "arguments": list(self.arguments),
            "cwd": cwd,
            "env": env,
            "cells": self.cells,
            "key": self.key,
            "limits": self.limits,
        }
