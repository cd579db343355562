"""Where the environments of one kernel lie at a target, and which of them counts.

    NAME/current -> 3f2a…      what new kernels get; changed in one step
    NAME/3f2a…/                an environment; what it mirrors is in its relay-env.json
    NAME/91c0….partial/        one that is being built, or of a builder that was cut off
    NAME/sources/PACKAGE/      the sources of an editable package, and beside them what is in them
    NAME/note                  why there is none yet, in words

A kernel is started by the path of the environment itself, so that ``current`` may change under it;
and whoever starts one holds a lock on it until the kernel is seen to run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

import psutil

from relay_kernel.core.blueprint import Blueprint, from_json, to_json
from relay_kernel.envs.errors import EnvError
from relay_kernel.settings.atomic import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = "relay-env.json"
CURRENT = "current"
NOTE = "note"
SOURCES = "sources"
PARTIAL = ".partial"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass
class Record:
    """What an environment is, kept in it."""

    spec: dict[str, Any]
    """The kernelspec that it is for, as on the server."""
    blueprint: Blueprint
    """What was put there to mirror the server."""
    installed: dict[str, list[str]] = field(default_factory=dict)
    """Package that counts by content -> its digest on the server, and the one here."""
    changing: list[str] = field(default_factory=list)
    """Packages that were being installed into it; all there is of them may be half."""
    chosen: dict[str, str] = field(default_factory=dict)
    """Package of which builds are chosen here -> the version, with its label, that was."""

    def to_text(self) -> str:
        """As it is kept."""
        changes = {"installed": self.installed, "changing": self.changing, "chosen": self.chosen}
        return json.dumps({"spec": self.spec, "blueprint": to_json(self.blueprint), **changes})


def read_record(environment: Path) -> Record | None:
    """The record of an environment; None where it is not finished, or gone."""
    try:
        value = json.loads((environment / RECORD).read_text(encoding="utf-8"))
        blueprint = from_json(value["blueprint"])
        installed, changing = value["installed"], value["changing"]
        # Older ones do not say which builds were chosen.
        chosen = dict(value.get("chosen", {}))
        return Record(value["spec"], blueprint, installed, changing, chosen)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Note:
    """What is to be said of a kernel's environment."""

    text: str
    blocks: bool
    """Whether the environment that is there must not be used: the server's has moved on."""


class Mirror:
    """The environments of one kernel.

    Args:
        root: holds those of all kernels.
        name: of the kernelspec.

    Raises:
        EnvError: no kernelspec can have this name.
    """

    def __init__(self, root: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise EnvError(f"{name[:100]!r} is no name of a kernelspec")
        self.name = name
        self.folder = root / name

    @property
    def current(self) -> Path | None:
        """The environment that counts; None if there is none."""
        try:
            environment = self.folder / os.readlink(self.folder / CURRENT)
        except OSError:
            return None
        return environment if (environment / RECORD).is_file() else None

    def python(self, environment: Path) -> str:
        """Its interpreter."""
        return os.fspath(environment / "bin" / "python")

    def sources(self, package: str) -> Path:
        """The folder of the sources of an editable package."""
        return self.folder / SOURCES / package

    def free(self, digest: str) -> Path:
        """Where a new environment will be: a path that was never used by one that is there."""
        path, number = self.folder / digest, 1
        while path.exists():
            number += 1
            path = self.folder / f"{digest}-{number}"
        return path

    def switch(self, environment: Path) -> None:
        """Make an environment the one that counts, for good, in one step."""
        draft = self.folder / f".{CURRENT}"
        draft.unlink(missing_ok=True)
        draft.symlink_to(environment.name)
        draft.replace(self.folder / CURRENT)
        sync(self.folder)

    def environments(self) -> Iterator[Path]:
        """All finished ones."""
        for path in sorted(self.folder.glob("*/")):
            if not path.is_symlink() and (path / RECORD).is_file() and path.suffix != PARTIAL:
                yield path

    def sweep(self, *, everything: bool = False) -> list[str]:
        """Remove what is left of builds, and environments that no kernel uses any more.

        Args:
            everything: the present one too, with the sources: the kernel is gone from the server.

        Returns:
            The names of those that were removed.
        """
        for partial in self.folder.glob(f"*{PARTIAL}"):
            shutil.rmtree(partial, ignore_errors=True)
        current = None if everything else self.current
        removed = [path for path in self.environments() if path != current and discard(path)]
        if everything and not any(self.environments()):
            shutil.rmtree(self.folder, ignore_errors=True)
        return [path.name for path in removed]

    # ------------------------------------------------------------------ words

    @property
    def note(self) -> Note | None:
        """Why there is no environment, or none that is up to date; None if nothing is to say."""
        try:
            value = json.loads((self.folder / NOTE).read_text(encoding="utf-8"))
            return Note(str(value["text"]), value["blocks"] is True)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_note(self, note: Note | None) -> None:
        """Say why; None: nothing is to say."""
        with contextlib.suppress(OSError):
            if note:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(self.folder / NOTE, json.dumps(asdict(note)), durable=False)
            else:
                (self.folder / NOTE).unlink(missing_ok=True)


def write_record(environment: Path, record: Record) -> None:
    """Write down what an environment is, for good."""
    replace_file(environment / RECORD, record.to_text())


@contextlib.contextmanager
def held(mirror: Mirror) -> Iterator[Path | None]:
    """The environment that counts, which stays as long as this lasts; None if there is none."""
    while True:
        environment = mirror.current
        if environment is None:
            yield None
            return
        file = _lock(environment, fcntl.LOCK_SH)
        if file is not None:
            break
    with file:
        yield environment


def _lock(environment: Path, how: int) -> IO[bytes] | None:
    """A lock on an environment that is there; None where it is gone, or held by others."""
    try:
        file = (environment / "pyvenv.cfg").open("rb")
    except OSError:
        return None
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, how)
        # It may have been removed while this waited.
        if (environment / RECORD).is_file():
            return file
    file.close()
    return None


def discard(environment: Path) -> bool:
    """Remove an environment if nobody uses it; returns whether it was removed."""
    file = _lock(environment, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if file is None:
        return False
    with file:
        if users(environment):
            return False
        # Without its record it is none; then it does not matter where this is cut off.
        (environment / RECORD).unlink()
    shutil.rmtree(environment, ignore_errors=True)
    return True


def users(environment: Path) -> list[psutil.Process]:
    """The running processes whose interpreter lies in an environment."""
    inside = os.fspath(environment) + os.sep
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            command = process.cmdline()
            if command and command[0].startswith(inside):
                found.append(process)
    return found


def sync(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
