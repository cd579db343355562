"""A ``kernels`` folder of Jupyter in which mirrors lie, beside what is not ours."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.mirror.generated import PREFIX, Mark, Mirror, read_mark, read_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Begins the folders in which a mirror is put together. Jupyter takes none of them for a kernel:
#: what is made lies one level deeper.
_DRAFT = ".relay-kernel-"


class KernelsFolder:
    """One folder of kernelspecs. Nothing in it is touched that we did not write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_writable(self) -> bool:
        """Whether a kernelspec could be written here. Makes nothing."""
        there = self.path
        while not there.exists() and there != there.parent:
            there = there.parent
        return there.is_dir() and os.access(there, os.W_OK | os.X_OK)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if need be, and keep other processes like us out of it.

        Raises:
            OSError: it cannot be made or opened.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Some file systems over a network have no locks: there, the last one wins.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            for left in self.path.glob(f"{_DRAFT}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(descriptor)

    def marks(self) -> dict[str, Mark]:
        """Name -> mark of the mirrors that are here."""
        found = {}
        for path in sorted(self.path.glob(f"{PREFIX}*")):
            mark = self.mark(path.name)
            if mark is not None:
                found[path.name] = mark
        return found

    def mark(self, name: str) -> Mark | None:
        """The mark of one; None if there is none of that name, or it is not ours."""
        path = self.path / name
        return None if path.is_symlink() else read_mark(read_spec(path))

    def is_foreign(self, name: str) -> bool:
        """Whether something lies here under that name that is not ours.

        An empty folder is nothing: uv leaves those when it uninstalls.
        """
        path = self.path / name
        if path.is_dir() and not path.is_symlink():
            return self.mark(name) is None and any(path.iterdir())
        return path.exists() or path.is_symlink()

    def write(self, mirror: Mirror) -> None:
        """Put a mirror here, new or instead of an older one; whole or not at all. Needs the lock.

        Raises:
            OSError: the folder is full, or not writable.
        """
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self.path))
        try:
            made = draft / mirror.name
            made.mkdir()
            for name, content in mirror.logos.items():
                _write(made / name, content)
            text = json.dumps(mirror.spec, indent=1, ensure_ascii=False)
            _write(made / "kernel.json", text.encode())
            self._put(made, self.path / mirror.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove a mirror. Needs the lock.

        Raises:
            OSError: the folder is not writable.
        """
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self.path))
        try:
            (self.path / name).rename(draft / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _put(self, made: Path, path: Path) -> None:
        """Move a new folder to its place, or its files over those of an older one."""
        with contextlib.suppress(OSError):
            # Fails where there is one, unless that is empty.
            made.rename(path)
            return
        for old in path.glob("logo-*"):
            if not (made / old.name).exists():
                old.unlink()
        # The description last: it says which logos there are.
        for new in sorted(made.iterdir(), key=lambda each: each.name == "kernel.json"):
            new.replace(path / new.name)


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole after a power cut, once it has its name."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
