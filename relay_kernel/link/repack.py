"""Makes a wheel again of a package that is installed here, so that it can be put on a PC.

A PC that has no internet then needs none: what runs here goes over SSH as it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.tags import parse_tag

from relay_kernel.link.wheel import Wheel, write_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import Distribution

    from packaging.tags import Tag

#: Written by whoever installed it here; made anew by whoever installs it there.
_OF_THE_INSTALLATION = {
    *("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"),
}

#: Platforms whose wheels hold all that they need. One that was built here may lean on this machine.
_PORTABLE = ("any", "manylinux", "musllinux", "macosx")


def tags(package: Distribution, *, portable: bool = True) -> frozenset[Tag]:
    """Where the installed ``package`` runs; empty if that is not known, or here alone.

    Args:
        package: Installed here.
        portable: Leave out what was built for machines that are just like this one.
    """
    found: set[Tag] = set()
    for line in (package.read_text("WHEEL") or "").splitlines():
        key, _, value = line.partition(":")
        if key == "Tag":
            found |= parse_tag(value.strip())
    return frozenset(t for t in found if t.platform.startswith(_PORTABLE) or not portable)


def repack(package: Distribution, folder: Path) -> Wheel | None:
    """The wheel that ``package`` was installed from, or one as good, in memory.

    Args:
        package: Installed here.
        folder: Where the wheel is put together; private.

    Returns:
        ``None`` where what is installed is not complete: an editable install, say.
    """
    if '"editable"' in (package.read_text("direct_url.json") or ""):
        return None
    path = repack_file(package, folder, tags(package))
    return Wheel(path.name, path.read_bytes()) if path else None


def repack_file(
    package: Distribution,
    folder: Path,
    known: frozenset[Tag],
    *,
    prefix: str = sys.prefix,
    instead: Mapping[str, bytes] | None = None,
    compress: bool = True,
) -> Path | None:
    """Like :func:`repack`, as a file, and for the package of any environment.

    Args:
        package: Installed there.
        folder: Where the wheel is put together; private.
        known: Where it runs.
        prefix: Of the environment.
        instead: Path inside the wheel -> other content than what is installed.
        compress: Make it small; else quickly.
    """
    files = _files(package, prefix)
    info = next((path.split("/")[0] for path in files if path.endswith(".dist-info/WHEEL")), None)
    if info is None or not known or len(files) < 3:
        return None
    name = info.removesuffix(".dist-info")
    columns = _compressed(sorted(str(tag) for tag in known))
    content = {**files, **(instead or {})}
    return write_wheel(folder, f"{name}-{columns}.whl", info, content, compress=compress)


def _files(package: Distribution, prefix: str) -> dict[str, bytes | Path]:
    """Path inside the wheel -> content; empty where something is missing."""
    site = Path(str(package.locate_file("")))
    files: dict[str, bytes | Path] = {}
    described = (file.parts[0] for file in package.files or () if file.name == "METADATA")
    stem = next(described, "").removesuffix(".dist-info")
    made = {each.name for each in package.entry_points if each.group.endswith("_scripts")}
    for file in package.files or ():
        path = Path(os.path.normpath(site / file.as_posix()))
        inside = _inside(path, file.as_posix(), stem, prefix)
        if inside is None or (path.name in made and ".data/scripts/" in inside):
            continue
        if not path.is_file():
            return {}
        files[inside] = _script(path) if ".data/scripts/" in inside else path
    return files


def _inside(path: Path, name: str, stem: str, prefix: str) -> str | None:
    """Where in a wheel the file ``name`` of the record belongs; ``None`` if in none."""
    parts = name.split("/")
    if "__pycache__" in parts or parts[-1] in _OF_THE_INSTALLATION:
        return None
    if parts[0] != "..":
        return name
    try:
        below = path.relative_to(prefix).as_posix()
    except ValueError:
        return None
    if below.startswith("bin/"):
        return f"{stem}.data/scripts/{path.name}"
    return f"{stem}.data/data/{below}"


def _script(path: Path) -> bytes | Path:
    """A command, as a wheel has it: which interpreter runs it is for the installer to say."""
    with path.open("rb") as file:
        first = file.readline(1000)
        if not first.startswith(b"#!") or b"python" not in first:
            return path
        return b"#!python\n" + file.read()


def _compressed(known: list[str]) -> str:
    """``py2.py3-none-any``: all tags of a wheel in one, as its file name has them."""
    columns = zip(*(tag.split("-") for tag in known), strict=True)
    return "-".join(".".join(sorted(set(column))) for column in columns)
