"""Enters the mirrors of this environment among the installed files of relay-kernel.

So ``pip uninstall`` and ``uv pip uninstall`` take them away with the rest.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.mirror.generated import PREFIX
from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable


def enter_in_record(folder: Path, names: Iterable[str]) -> None:
    """Make the installation's record name these mirrors, and none else.

    Does nothing where there is no record that goes by this environment, or it is not writable.

    Args:
        folder: of the kernelspecs, in this environment.
        names: of the mirrors in it.
    """
    record = _find_record()
    if record is None:
        return
    site = record.parent.parent
    files = sorted(file for name in names for file in (folder / name).iterdir())
    wanted = [os.path.relpath(file, site) for file in files]
    begin = os.path.relpath(folder / PREFIX, site)
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


def _find_record() -> Path | None:
    try:
        files = metadata.distribution("relay-kernel").files or []
    except metadata.PackageNotFoundError:
        return None
    found = next((Path(str(file.locate())) for file in files if file.name == "RECORD"), None)
    if found is None or not found.is_relative_to(sys.prefix):
        return None
    return found if found.is_file() else None


def _row(path: str) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow([path, "", ""])
    return row.getvalue()
