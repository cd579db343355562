"""Enters the mirrors in this environment among the installed files of relay-kernel.

So ``pip uninstall`` and ``uv pip uninstall`` take them away with the rest.
"""

from __future__ import annotations

import csv
import io
import os
import site
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.mirror.generated import PREFIX
from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable


def enter_in_record(folder: Path, names: Iterable[str]) -> None:
    """Make the installation's record name these mirrors of a folder, and none else of it.

    Does nothing where the installation and the folder do not belong together, or the record is not
    writable.

    Args:
        folder: of the kernelspecs.
        names: of the mirrors in it.
    """
    record = _find_record(folder)
    if record is None:
        return
    packages = record.parent.parent
    files = sorted(file for name in names for file in (folder / name).iterdir())
    wanted = [os.path.relpath(file, packages) for file in files]
    begin = os.path.relpath(folder / PREFIX, packages)
    try:
        text = record.read_bytes().decode()
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines if not line.lstrip('"').startswith(begin)]
        changed = "".join([*kept, *(_row(path) for path in wanted)])
        if changed != text:
            replace_file(record, changed)
    except (OSError, ValueError):
        # Somebody else's tool installed it, and will remove it in a way of its own.
        return


def _find_record(folder: Path) -> Path | None:
    try:
        files = metadata.distribution("relay-kernel").files or []
    except metadata.PackageNotFoundError:
        return None
    found = next((Path(str(file.locate())) for file in files if file.name == "RECORD"), None)
    if found is None or not found.is_file():
        return None
    # The second is what pip install --user goes by.
    for base in (sys.prefix, site.getuserbase()):
        if found.is_relative_to(base):
            return found if folder.is_relative_to(base) else None
    return None


def _row(path: str) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow([path, "", ""])
    return row.getvalue()
