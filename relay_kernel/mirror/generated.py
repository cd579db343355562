"""What is written of an original: the ``kernel.json`` of its mirror, and the mark in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relay_kernel.mirror.originals import Original

PREFIX = "relay-"

#: Of :attr:`Mark`; a higher one is of a newer relay-kernel, and is left to it.
FORMAT = 1

_MARK = "relay_kernel"
#: About R's own interpreter and folders: what an original sets there is for its kernel alone, who
#: gets it from the original.
_NOT_FOR_R = ("PYTHON", "LD_", "DYLD_", "CONDA_", "VIRTUAL_ENV", "PATH", "RELAY_", "JUPYTER_")
#: What front ends may speak with R, whatever the original's kernel can.
_ENCRYPTION = ["curve"]
_LARGEST_LOGO = 1 << 20


@dataclass(frozen=True)
class Mark:
    """What a mirror says of itself, below ``metadata``: by this it is known to be ours."""

    format: int
    original: str
    """The name of the kernelspec that it relays to."""
    folder: str
    """Where that one was."""
    evidence: str
    """A path that is there as long as the original is."""
    digest: str
    """Of everything that was written."""
    interpreter: str
    """Its own, which has relay-kernel."""
    spec: Mapping[str, Any] | None
    """The original itself, where those who read only the disk do not find it."""


@dataclass(frozen=True)
class Mirror:
    """A mirror as it shall be on disk."""

    name: str
    spec: Mapping[str, Any]
    """Its ``kernel.json``."""
    logos: Mapping[str, bytes]
    """File name -> content."""

    @property
    def mark(self) -> Mark:
        """The mark in it."""
        mark = read_mark(self.spec)
        assert mark is not None
        return mark


def mirror_of(original: Original, name: str, interpreter: str) -> Mirror:
    """Make the mirror of an original.

    What the original sets for its kernel (its arguments, its environment) is not repeated where it
    would count twice: R starts the original by its name, as it is.

    Args:
        original: what is mirrored.
        name: of the mirror, see :func:`mirror_names`.
        interpreter: the absolute path of a Python that has relay-kernel.
    """
    spec = original.spec
    logos = _logos(original.folder)
    metadata = {k: v for k, v in (spec.get("metadata") or {}).items() if k != "kernel_provisioner"}
    metadata["supported_encryption"] = _ENCRYPTION
    made: dict[str, Any] = {
        "argv": [interpreter, "-m", "relay_kernel", "-f", "{connection_file}"],
        "display_name": f"{spec.get('display_name') or original.name} (relay)",
        "language": spec["language"],
        "interrupt_mode": "message",
        "env": _env(spec.get("env") or {}),
    }
    made["argv"] += ["--spec", original.name]
    if spec.get("kernel_protocol_version"):
        made["kernel_protocol_version"] = spec["kernel_protocol_version"]
    mark: dict[str, Any] = {
        "format": FORMAT,
        "original": original.name,
        "folder": str(original.folder),
        "evidence": str(original.evidence),
    }
    if not original.on_disk:
        mark["spec"] = dict(spec)
    mark["digest"] = _digest([made, metadata, mark], logos)
    made["metadata"] = {**metadata, _MARK: mark}
    return Mirror(name, made, logos)


def mirror_names(originals: Iterable[str]) -> dict[str, str]:
    """Original's name -> mirror's name: lower-case ``[a-z0-9._-]``, and no two the same.

    A name that has only these characters is never changed, whatever else there is.
    """
    names: dict[str, str] = {}
    for name in sorted(originals, key=lambda each: (each != _plain(each), each)):
        mirror = PREFIX + _plain(name)
        if mirror in names.values():
            mirror += f"-{hashlib.blake2b(name.encode(), digest_size=3).hexdigest()}"
        names[name] = mirror
    return names


def read_mark(spec: Mapping[str, Any]) -> Mark | None:
    """The mark in a ``kernel.json``; None if we did not write it."""
    try:
        mark = spec["metadata"][_MARK]
        return Mark(
            format=int(mark["format"]),
            original=str(mark["original"]),
            folder=str(mark["folder"]),
            evidence=str(mark["evidence"]),
            digest=str(mark["digest"]),
            interpreter=str(spec["argv"][0]),
            spec=mark.get("spec"),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def read_spec(folder: Path) -> dict[str, Any]:
    """The ``kernel.json`` in a folder; empty if there is none that can be read."""
    try:
        spec = json.loads((folder / "kernel.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return spec if isinstance(spec, dict) else {}


def own_interpreter() -> str:
    """The Python that runs this, by the one of its names that is the same for everybody."""
    usual = Path(sys.prefix) / "bin" / "python"
    try:
        if usual.samefile(sys.executable):
            return str(usual)
    except OSError:
        pass
    return os.path.abspath(sys.executable)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]", "_", name.lower())


def _env(env: Mapping[str, str]) -> dict[str, str]:
    """What R, too, has in its environment, so that the kernel on the PC gets it from R.

    The server's kernel gets it again, from the original: that changes nothing of a constant. A
    value that refers to another variable would be put together twice.
    """
    return {k: v for k, v in env.items() if "$" not in v and not k.startswith(_NOT_FOR_R)}


def _logos(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("logo-*")):
        try:
            if path.is_file() and path.stat().st_size <= _LARGEST_LOGO:
                found[path.name] = path.read_bytes()
        except OSError:
            continue
    return found


def _digest(parts: list[Any], logos: Mapping[str, bytes]) -> str:
    digest = hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16)
    for name, content in logos.items():
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
