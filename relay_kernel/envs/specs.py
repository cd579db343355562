"""The kernelspecs of the server whose environments are mirrored."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

from relay_kernel.envs.errors import ImpossibleError
from relay_kernel.envs.starters import is_started, without_starter

#: Names of Pythons, as commands.
_PYTHON = re.compile(r"python[0-9.]*t?")


@dataclass(frozen=True)
class Spec:
    """A kernelspec, as far as it matters at a target."""

    name: str
    content: dict[str, Any]
    """What its ``kernel.json`` says, without what starts its Python in an environment of conda."""

    @property
    def python(self) -> str:
        """The interpreter that it starts.

        Raises:
            ImpossibleError: it starts something else, or needs a file of this machine.
        """
        argv = [str(word) for word in self.content.get("argv", ())]
        command = argv[0] if argv else ""
        if is_started(argv):
            raise ImpossibleError(
                f"it starts {command} run, and the environment meant by that is not found here"
            )
        if not _PYTHON.fullmatch(Path(command).name):
            raise ImpossibleError(f"it starts {command or 'nothing'}, which is no Python")
        for word in argv[1:]:
            if "{resource_dir}" in word or (word.startswith("/") and os.path.exists(word)):
                raise ImpossibleError(f"its command line names {word}, which is on the server only")
        if os.path.isabs(command):
            if not os.path.exists(command):
                raise ImpossibleError(f"its interpreter {command} is gone")
            return command
        # As Jupyter does it.
        own = {"python", f"python{sys.version_info[0]}", "python{}.{}".format(*sys.version_info)}
        found = sys.executable if command in own else shutil.which(command)
        if found is None:
            raise ImpossibleError(f"its interpreter {command} is not there")
        return found


def python_specs(manager: KernelSpecManager | None = None) -> dict[str, Spec]:
    """All kernels here that run Python, by name; without our own, which only relay to them.

    Args:
        manager: has them; by default those are meant that lie on the disk.
    """
    found = {}
    for name, about in (manager or KernelSpecManager()).get_all_specs().items():
        content = about["spec"]
        is_ours = "relay_kernel" in [*content.get("argv", ()), *(content.get("metadata") or ())]
        if str(content.get("language", "")).lower() == "python" and not is_ours:
            argv = without_starter(content.get("argv", ()))
            found[name] = Spec(name, {**content, "argv": argv, "metadata": {}})
    return found


def spec_stamp() -> tuple[Any, ...]:
    """Something that differs when a kernelspec was installed, changed or removed."""
    stamp: list[Any] = []
    for folder in KernelSpecManager().kernel_dirs:
        try:
            inside = sorted(os.scandir(folder), key=lambda each: each.name)
        except OSError:
            continue
        for each in inside:
            try:
                about = os.stat(os.path.join(each.path, "kernel.json"))
            except OSError:
                continue
            stamp.append((each.path, about.st_mtime_ns, about.st_size, about.st_ino))
    return tuple(stamp)
