"""What a target should have: the blueprint of an environment of the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from relay_kernel.core.blueprint import Blueprint, Origin, Package
from relay_kernel.core.platforms import for_this_platform_only

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from relay_kernel.envs.describe import Description

#: What some Debian releases put into each virtual environment; it is nothing.
_NOTHING = ("pkg-resources", "0.0.0")


def blueprint(found: Description, sources: Mapping[str, str] | None = None) -> Blueprint:
    """What is installed, as a target should have it.

    Args:
        found: by the server's interpreter.
        sources: name of each editable package -> the digest of its folder of sources.
    """
    packages = [
        Package(
            name,
            about["version"],
            origin(about, found),
            about.get("content", ""),
            (sources or {}).get(name, ""),
        )
        for name, about in sorted(found.packages.items())
        if (name, about["version"]) != _NOTHING
    ]
    return Blueprint(found.python, tuple(packages))


def left_out(found: Description, there: Mapping[str, str]) -> frozenset[str]:
    """The packages that are needed on the server's platform alone.

    Args:
        found: by the server's interpreter.
        there: the markers of a Python at the target.
    """
    requires = {name: about["requires"] for name, about in found.packages.items()}
    requested: Collection[str] = [n for n, a in found.packages.items() if a.get("requested")]
    return for_this_platform_only(requires, requested, found.markers, there)


def origin(about: Mapping[str, Any], found: Description) -> Origin:
    """Where a package came from."""
    if about.get("installer") == "conda":
        # Its direct_url.json names a folder of the machine that conda built it on.
        return Origin.INDEX
    direct = about.get("direct")
    if direct is None:
        return Origin.EDITABLE if editable_folder(about, found) else Origin.INDEX
    if "vcs_info" in direct:
        editable = direct.get("dir_info", {}).get("editable")
        return Origin.EDITABLE if editable else Origin.VCS
    return Origin.EDITABLE if direct.get("dir_info", {}).get("editable") else Origin.WHEEL


def editable_folder(about: Mapping[str, Any], found: Description) -> Path | None:
    """The folder of sources of an editable package; None if it is none."""
    direct = about.get("direct") or {}
    if direct.get("dir_info", {}).get("editable"):
        return Path(unquote(urlsplit(direct["url"]).path))
    info = Path(about["info"])
    old = info.suffix == ".egg-info" and not about.get("installer")
    # ``setup.py develop`` leaves its description among the sources.
    if old and info.is_dir() and not _is_site(info.parent, found):
        return info.parent
    return None


def _is_site(folder: Path, found: Description) -> bool:
    return any(part in {"site-packages", "dist-packages"} for part in folder.parts)
