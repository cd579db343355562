"""One end of a folder on a real disk, and programs that write there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

import pytest

from relay_kernel.core.reconcile import Change
from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import CHUNK
from relay_kernel.files.folder import Folder
from relay_kernel.files.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from relay_kernel.files.stage import Staging

#: Seconds that anything may take which is waited for.
PATIENCE = 20.0


class End:
    """A folder and its state, below one place."""

    def __init__(self, place: Path, rules: Rules | None = None) -> None:
        self.place = place
        self.root = place / "root"
        self.state = place / "state"
        self.root.mkdir(parents=True, exist_ok=True)
        self.rules = rules or Rules()
        self.folder = Folder(self.root, self.state, self.rules)

    def __enter__(self) -> Self:
        self.folder.open()
        self.folder.scan()
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.close()

    def reopen(self) -> Folder:
        """Close it and open it anew, as a new process would."""
        self.folder.close()
        self.folder = Folder(self.root, self.state, self.rules)
        self.folder.open()
        self.folder.scan()
        return self.folder

    def write(self, path: str, data: bytes | str = b"") -> None:
        """A plain program writes a file, and the folder looks at it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        self.folder.settle(now=True)

    def tree(self) -> dict[bytes, Entry]:
        """What a new look from nothing says that the folder holds."""
        with Fresh(self) as folder:
            return dict(folder.tree)

    def change(self, path: bytes, new: Entry | None, brought: Staging | bytes | None = None) -> str:
        """Make one change to what is known to be there; return why it was not made."""
        old = self.folder.tree.get(path)
        return self.folder.commit([(Change(path, old, new), brought)])[0]

    def until(self, true: Callable[[], object]) -> dict[bytes, Entry | None]:
        """Do as an owner does, look when it is time, until ``true``; return what changed."""
        changed: dict[bytes, Entry | None] = {}
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert self.folder.dirty.wait(deadline - time.monotonic()), "nothing more happens"
            changed.update(self.folder.settle())
        return changed


class Fresh:
    """A second look at the same folder, with no memory; the first lets go of it meanwhile."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.state = end.place / "fresh"

    def __enter__(self) -> Folder:
        self.end.folder.close()
        shutil.rmtree(self.state, ignore_errors=True)
        self.folder = Folder(self.end.root, self.state, self.end.rules)
        self.folder.open()
        self.folder.scan()
        return self.folder

    def __exit__(self, *_: object) -> None:
        self.folder.close()
        self.end.folder = Folder(self.end.root, self.end.state, self.end.rules)
        self.end.folder.open()
        self.end.folder.scan()


class Program:
    """A process that writes, one step at a time: it says when each is done."""

    def __init__(self, code: str, *arguments: object) -> None:
        """``code`` uses ``done()`` after each step, which waits for the next :meth:`step`."""
        head = (
            "import os, sys, mmap\ndef done():\n    print('.', flush=True); sys.stdin.readline()\n"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", head + code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._heard()

    def _heard(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b".\n"

    def step(self) -> None:
        """Do the next step."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        self._heard()

    def end(self) -> None:
        """Do what is left, and end."""
        self._process.communicate(b"\n" * 20, timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def file(data: bytes, mode: int = 0o644, mtime_ns: int = 10**18) -> Entry:
    """The entry of a small file."""
    from relay_kernel.files.digest import digest

    assert len(data) <= CHUNK
    return Entry(Kind.FILE, digest(data), mode, len(data), mtime_ns)


def folder(mode: int = 0o755) -> Entry:
    """The entry of a folder."""
    return Entry(Kind.FOLDER, mode=mode)


def link(target: bytes) -> Entry:
    """The entry of a link."""
    return Entry(Kind.LINK, target)


def carry(source: Folder, path: bytes, target: Folder, like: bytes | None = None) -> Staging:
    """Bring a file from one folder to the stage of another, whatever its size."""
    entry = source.tree[path]
    staging = target.stage(entry, like)
    numbers = staging.wants(source.pieces(path, entry))
    for number, data in zip(numbers, source.read(path, entry, numbers), strict=True):
        staging.put(number, data)
    staging.finish()
    return staging


def mirror(source: Folder, target: Folder) -> list[str]:
    """Make the target what the source is, in one batch; return what was refused."""
    goal: Mapping[bytes, Entry] = source.tree
    batch: list[tuple[Change, Staging | bytes | None]] = []
    for path, new in sorted(goal.items(), key=lambda item: item[1].kind is not Kind.FOLDER):
        old = target.tree.get(path)
        if old == new:
            continue
        content = carry(source, path, target, path) if new.kind is Kind.FILE else None
        batch.append((Change(path, old, new), content))
    gone = sorted(set(target.tree) - set(goal), reverse=True)
    batch += [(Change(path, target.tree[path], None), None) for path in gone]
    return [reason for reason in target.commit(batch) if reason]


def mount(place: Path, *options: str, off: bool = False) -> None:
    """Mount something at ``place``, or take it off."""
    place.mkdir(exist_ok=True)
    command = ["umount", str(place)] if off else ["mount", *options, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and not off:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
