"""Makes wheels of what is installed on the server, for targets that cannot get it elsewhere."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel.core.blueprint import Origin
from relay_kernel.envs.errors import ImpossibleError
from relay_kernel.envs.shelf import digest_of
from relay_kernel.envs.sources import read_editable, recorded
from relay_kernel.envs.wanted import editable_folder, origin
from relay_kernel.link.repack import repack_file, tags
from relay_kernel.link.wheel import write_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay_kernel.envs.describe import Description

#: What decides whether something compiled runs at a target.
_MACHINE = ("sys_platform", "platform_machine")


@dataclass(frozen=True)
class Pack:
    """A wheel on disk."""

    path: Path
    digest: str
    size: int


class Packs:
    """Wheels for one target.

    Args:
        folder: where they are put together; private, and removed by :meth:`close`.
        target: its name, for messages.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self._folder = folder
        self._target = target
        self._made: dict[tuple[str, ...], Pack] = {}

    def make(self, found: Description, name: str, there: Mapping[str, str], root: str) -> Pack:
        """The wheel of an installed package. Slow: call it in a thread.

        Args:
            found: the environment, described by its interpreter.
            name: of the package.
            there: the markers of a Python at the target.
            root: the folder there that the sources of editable packages are in.

        Raises:
            ImpossibleError: it cannot be packed, or would not run there.
        """
        about = found.packages[name]
        made = (about["info"], about["version"], about.get("content", ""), root)
        pack = self._made.get(made)
        if pack is None or not pack.path.exists():
            folder = self._folder / hashlib.sha256(repr(made).encode()).hexdigest()[:16]
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._write(found, name, there, root, folder)
            pack = self._made[made] = Pack(path, digest_of(path), path.stat().st_size)
        return pack

    def _write(
        self, found: Description, name: str, there: Mapping[str, str], root: str, folder: Path
    ) -> Path:
        about = found.packages[name]
        package = PathDistribution(Path(about["info"]))
        if origin(about, found) is Origin.EDITABLE:
            return _editable(found, name, package, f"{root}/{name}", folder)
        alike = all(found.markers.get(key) == there.get(key) for key in _MACHINE)
        own = about.get("installer") != "conda" and alike
        known = tags(package, portable=not own)
        path = repack_file(package, folder, known, prefix=found.prefix, compress=False)
        if path is None:
            raise ImpossibleError(f"{name} {about['version']} {_why(about, alike)}")
        return path

    def close(self) -> None:
        """Remove what was made."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._made.clear()


def _why(about: Mapping[str, Any], alike: bool) -> str:
    """Why a package cannot be moved, behind its name."""
    if about.get("installer") == "conda":
        return "is of conda alone"
    if about.get("compiled") and not alike:
        return "is compiled for the server's kind of machine alone"
    return "is a package of the server's system"


def _editable(
    found: Description, name: str, package: Distribution, there: str, folder: Path
) -> Path:
    """A wheel that finds its sources at ``there``."""
    about = found.packages[name]
    base = editable_folder(about, found)
    info = Path(about["info"])
    assert base is not None
    editable = read_editable(name, base, info)
    before, after = str(editable.base).encode(), there.encode()
    if info.suffix == ".egg-info":
        return _described(name, package, after, folder)
    instead = {
        path.relative_to(info.parent).as_posix(): path.read_bytes().replace(before, after)
        for path in recorded(info)
        if path.suffix in {".pth", ".py"} and path.parent == info.parent
    }
    known = tags(package, portable=False)
    path = repack_file(package, folder, known, prefix=found.prefix, instead=instead)
    if path is None:
        raise ImpossibleError(f"{name} is an editable install whose record is damaged")
    return path


def _described(name: str, package: Distribution, there: bytes, folder: Path) -> Path:
    """The same for one that ``setup.py develop`` has installed: it has no record."""
    stem = f"{name.replace('-', '_')}-{package.version}"
    info = f"{stem}.dist-info"
    tag = "py3-none-any"
    wheel = f"Wheel-Version: 1.0\nGenerator: relay-kernel\nRoot-Is-Purelib: true\nTag: {tag}\n"
    files = {
        f"{info}/METADATA": (package.read_text("PKG-INFO") or "").encode(),
        f"{info}/WHEEL": wheel.encode(),
        f"{info}/entry_points.txt": (package.read_text("entry_points.txt") or "").encode(),
        f"__relay_{name.replace('-', '_')}.pth": there + b"\n",
    }
    return write_wheel(folder, f"{stem}-{tag}.whl", info, files)
