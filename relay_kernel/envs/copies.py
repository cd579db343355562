"""Keeps copies of sources at a target equal to the folders of the server, file by file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from relay_kernel.envs.errors import EnvError
from relay_kernel.envs.shelf import fetch
from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relay_kernel.envs.line import Line

#: How many files are on their way at a time.
AT_A_TIME = 16

Manifest = dict[str, list[Any]]
"""Path below the folder -> digest, size, mode, time of the last change in ns."""


async def refresh(line: Line, folder: Path, digest: str, wanted: Mapping[str, list[Any]]) -> None:
    """Make a copy equal.

    Each file is changed in one step, and the digest is written last: who is cut off begins again
    with what is still missing.

    Args:
        line: to the server, which has the files to be fetched.
        folder: the copy.
        digest: of all of it.
        wanted: what it shall consist of; see :data:`Manifest`.

    Raises:
        ChangedError: the server's folder has changed meanwhile.
        EnvError: a path leads out of the folder.
    """
    about = folder.with_name(f"{folder.name}.json")
    have = _begin(folder, about)
    limit = asyncio.Semaphore(AT_A_TIME)

    async def bring(path: str) -> None:
        async with limit:
            await _bring(line, folder / path, wanted[path])

    for path in wanted:
        _check(path)
    missing = [path for path, file in wanted.items() if not _is_there(folder, path, file, have)]
    async with asyncio.TaskGroup() as group:
        for path in missing:
            group.create_task(bring(path))
    for path in have.keys() - wanted.keys():
        _remove(folder, path)
    replace_file(about, json.dumps({"digest": digest, "files": dict(wanted)}))


def _begin(folder: Path, about: Path) -> Manifest:
    """What there is. Until the copy is whole again, nobody takes it for what it was."""
    have = _read(about)
    about.unlink(missing_ok=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return have


def _check(path: str) -> None:
    if any(part in {"", ".", ".."} or "\0" in part for part in path.split("/")):
        raise EnvError(f"{path[:100]!r} is no path of a source: it was refused")


def _read(about: Path) -> Manifest:
    try:
        files: Manifest = json.loads(about.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return files


def _is_there(folder: Path, path: str, file: list[Any], have: Manifest) -> bool:
    known = have.get(path)
    if known is None or known[0] != file[0]:
        return False
    try:
        return (folder / path).stat().st_size == int(file[1])
    except OSError:
        return False


async def _bring(line: Line, path: Path, file: list[Any]) -> None:
    digest, size, mode, mtime_ns = file
    os.makedirs(path.parent, exist_ok=True)
    await fetch(line, digest, size, path)
    os.chmod(path, mode & 0o777)
    # What reloads changed modules, and what compiles them, goes by the time.
    os.utime(path, ns=(mtime_ns, mtime_ns))


def _remove(folder: Path, path: str) -> None:
    (folder / path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for parent in (folder / path).parents:
            if parent == folder:
                return
            parent.rmdir()
