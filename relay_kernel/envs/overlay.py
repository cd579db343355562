"""Carries over what a person has installed at the target, from one environment to the next.

The files are copied: they fit, since the Python is the same, and no network is needed. Where the
new environment has the package already, that one counts.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from relay_kernel.envs.sources import recorded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: A script that names its interpreter does so in its first bytes.
_FIRST = 300


def carry(infos: Iterable[Path], old: Path, new: Path) -> None:
    """Copy installed packages.

    Args:
        infos: their ``.dist-info`` folders in the old environment.
        old: that environment.
        new: the new one, whatever it is called in the end.
    """
    for info in infos:
        for path in recorded(info):
            # What lies elsewhere was never in the environment.
            if path.is_relative_to(old) and path.is_file():
                _copy(path, new / path.relative_to(old), old, new)


def _copy(source: Path, target: Path, old: Path, new: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    if source.parent.name != "bin" or source.is_symlink():
        return
    with source.open("rb") as file:
        names = file.read(_FIRST).startswith(b"#!") and os.fsencode(old) in source.read_bytes()
    if names:
        final = new.with_suffix("") if new.suffix == ".partial" else new
        target.write_bytes(source.read_bytes().replace(os.fsencode(old), os.fsencode(final)))
