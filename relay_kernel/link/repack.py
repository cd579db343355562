"""Makes a wheel again of a package that is installed here, so that it can be put on a PC.

A PC that has no internet then needs none: what runs here goes over SSH as it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.tags import parse_tag

from relay_kernel.link.wheel import Wheel, assemble

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from packaging.tags import Tag

#: Written by whoever installed it here; made anew by whoever installs it there.
_OF_THE_INSTALLATION = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}

#: Platforms whose wheels hold all that they need. One that was built here may lean on this machine.
_PORTABLE = ("any", "manylinux", "musllinux", "macosx")


def tags(package: Distribution) -> frozenset[Tag]:
    """Where the installed ``package`` runs; empty if that is not known, or here alone."""
    found: set[Tag] = set()
    for line in (package.read_text("WHEEL") or "").splitlines():
        key, _, value = line.partition(":")
        if key == "Tag":
            found |= parse_tag(value.strip())
    return frozenset(tag for tag in found if tag.platform.startswith(_PORTABLE))


def repack(package: Distribution, folder: Path) -> Wheel | None:
    """The wheel that ``package`` was installed from, or one as good.

    Args:
        package: Installed here.
        folder: Where the wheel is put together; private.

    Returns:
        ``None`` where what is installed is not complete: an editable install, say.
    """
    files = _files(package)
    info = next((path.split("/")[0] for path in files if path.endswith(".dist-info/WHEEL")), None)
    known = sorted(str(tag) for tag in tags(package))
    if info is None or not known or len(files) < 3:
        return None
    name = info.removesuffix(".dist-info")
    return assemble(folder, f"{name}-{_compressed(known)}.whl", info, files)


def _files(package: Distribution) -> dict[str, bytes]:
    """Path inside the wheel -> content."""
    if package.read_text("direct_url.json") and "editable" in (
        package.read_text("direct_url.json") or ""
    ):
        return {}
    site = Path(str(package.locate_file("")))
    files: dict[str, bytes] = {}
    stem = f"{package.name.replace('-', '_')}-{package.version}"
    for file in package.files or ():
        inside = _inside(site, file.as_posix(), stem)
        if inside is None:
            continue
        path = Path(os.path.normpath(site / file.as_posix()))
        if not path.is_file():
            return {}
        files[inside] = path.read_bytes()
    return files


def _inside(site: Path, name: str, stem: str) -> str | None:
    """Where in a wheel a file of the record ``name`` belongs; ``None`` if in none."""
    parts = name.split("/")
    if "__pycache__" in parts or parts[-1] in _OF_THE_INSTALLATION:
        return None
    if parts[0] != "..":
        return name
    real = Path(os.path.normpath(site / name))
    try:
        below = real.relative_to(sys.prefix).as_posix()
    except ValueError:
        return None
    # Commands are made anew from the entry points.
    return None if below.startswith("bin/") else f"{stem}.data/data/{below}"


def _compressed(known: list[str]) -> str:
    """``py2.py3-none-any``: all tags of a wheel in one, as its file name has them."""
    columns = zip(*(tag.split("-") for tag in known), strict=True)
    return "-".join(".".join(sorted(set(column))) for column in columns)
