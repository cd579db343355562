"""Which kernelspecs of this machine are mirrored, and of the others, why they are not."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Modules behind ``-m`` that start an ipykernel.
_IPYKERNEL = frozenset({"ipykernel", "ipykernel_launcher", "ipykernel.kernelapp"})
#: What stands for the interpreter of whoever starts the kernel.
_OWN_PYTHON = frozenset({"python", "python3", f"python3.{sys.version_info[1]}"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish"})
_LOCAL_PROVISIONERS = frozenset({None, "", "local-provisioner"})


class Finder(Protocol):
    """What is asked for kernelspecs: a ``KernelSpecManager``, or a part of one."""

    def find_kernel_specs(self) -> Mapping[str, str]:
        """Name -> folder of its resources."""

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """The kernelspec of that name, as a ``KernelSpec``."""


@dataclass(frozen=True)
class Original:
    """A Python kernelspec that is mirrored."""

    name: str
    folder: Path
    """Where its logos are, and as a rule its ``kernel.json``."""
    spec: Mapping[str, Any]
    """Its ``kernel.json``, as the finder gives it."""
    on_disk: bool
    """Whether those who read only the disk find the same under its name."""

    @property
    def evidence(self) -> Path:
        """What is there as long as the kernelspec is."""
        file = self.folder / "kernel.json"
        return file if file.exists() else self.folder


@dataclass(frozen=True)
class Found:
    """What a finder has."""

    originals: Mapping[str, Original]
    """By name, in the order of names."""
    left_out: Mapping[str, str]
    """Name -> why it is not mirrored; no word of those that are relay kernels themselves."""
    others: Mapping[str, str]
    """Name -> folder of everything that is no original."""


def find_originals(finder: Finder) -> Found:
    """Look at all kernelspecs of a finder. One that cannot be read is left out, and said."""
    listed = dict(finder.find_kernel_specs())
    originals, left_out = {}, {}
    for name in sorted(listed):
        original, why = look_at(finder, name, listed[name])
        if original is not None:
            originals[name] = original
        elif why:
            left_out[name] = why
    others = {name: folder for name, folder in listed.items() if name not in originals}
    return Found(originals, left_out, others)


def look_at(finder: Finder, name: str, folder: str) -> tuple[Original | None, str]:
    """One kernelspec: as an original, or why it is none; no words for a relay kernel."""
    try:
        kernelspec = finder.get_kernel_spec(name)
        spec: dict[str, Any] = kernelspec.to_dict()
        why = "" if is_relay(spec) else reason_against(spec)
    except Exception as error:
        # A finder may be anybody's, and so may the file that it reads.
        return None, f"it cannot be read: {error}"
    if why or is_relay(spec):
        return None, why
    found_in = Path(kernelspec.resource_dir or folder)
    return Original(name, found_in, spec, _is_on_disk(name, found_in)), ""


def is_relay(spec: Mapping[str, Any]) -> bool:
    """Whether a kernelspec starts relay-kernel."""
    argv = spec.get("argv") or []
    return "relay_kernel" in (spec.get("metadata") or {}) or "relay_kernel" in argv


def reason_against(spec: Mapping[str, Any]) -> str:
    """Why a kernelspec cannot be mirrored; empty if it can."""
    if str(spec.get("language", "")).lower() != "python":
        return f"it is a kernel for {spec.get('language') or 'an unknown language'}"
    provisioner = (spec.get("metadata") or {}).get("kernel_provisioner") or {}
    if provisioner.get("provisioner_name") not in _LOCAL_PROVISIONERS:
        return f"{provisioner['provisioner_name']} starts it, and not its command line"
    argv = [str(argument) for argument in spec.get("argv") or []]
    start = next((n for n, argument in enumerate(argv) if argument in _IPYKERNEL), None)
    if start is None:
        if Path(argv[0] if argv else "").name in _SHELLS and any("ipykernel" in a for a in argv):
            return "a shell starts it: which Python that is cannot be seen in its command line"
        return "there is no ipykernel behind it"
    gone = next((path for path in interpreters(argv[:start]) if not _runs(path)), None)
    return f"its interpreter {gone} is gone" if gone else ""


def interpreters(argv: list[str]) -> list[str]:
    """The programs in a command line: the one it begins with, and a Python that this starts."""
    inner = [a for a in argv[1:] if os.path.isabs(a) and Path(a).name.startswith("python")]
    return [*argv[:1], *inner]


def _runs(program: str) -> bool:
    if os.path.isabs(program):
        return os.path.isfile(program) and os.access(program, os.X_OK)
    return program in _OWN_PYTHON or shutil.which(program) is not None


def _is_on_disk(name: str, folder: Path) -> bool:
    """Whether Jupyter's own class, which is all that most clients use, finds that name too."""
    if name == NATIVE_KERNEL_NAME:
        return True
    return folder.name.lower() == name and str(folder.parent) in KernelSpecManager().kernel_dirs
