"""Editable packages: where their sources are, and what is in these folders.

The target gets the sources and the description of the installation in which only the path differs.
Nothing is built there.
"""

from __future__ import annotations

import ast
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.envs.errors import ImpossibleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Bytes and files that a folder of sources may have; one with more holds something else as well.
LARGEST = 256 << 20
MOST = 20_000
#: Seconds for which a file that has just changed is read again: its time has coarse steps.
SETTLED = 0.1

_IGNORED = frozenset(
    {
        *(".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox"),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".ipynb_checkpoints"),
        *(".eggs", ".relay"),
    }
)
#: Left by builds, beside the sources.
_BUILT = frozenset({"build", "dist"})


@dataclass(frozen=True)
class Editable:
    """How an editable package is installed.

    Attributes:
        base: the folder of the project.
        roots: what is imported of it, below ``base``: folders, or modules without a suffix.
    """

    base: Path
    roots: tuple[Path, ...]


@dataclass(frozen=True)
class SourceFile:
    """One file among the sources."""

    path: Path
    """Where it is."""
    digest: str
    size: int
    mode: int
    mtime_ns: int


def read_editable(name: str, base: Path, info: Path) -> Editable:
    """How an editable package is installed.

    Args:
        name: of the package.
        base: the folder of the project.
        info: its ``.dist-info``, or an ``.egg-info`` among the sources.

    Raises:
        ImpossibleError: in a way that cannot be moved to another machine.
    """
    if info.suffix == ".egg-info":
        return Editable(base, (base,))
    roots: list[Path] = []
    for file in recorded(info):
        if file.suffix == ".pth":
            roots += _paths(file)
        elif file.name.startswith("__editable__") and file.suffix == ".py":
            roots += _mapped(file)
    if not roots:
        raise ImpossibleError(
            f"{name} is an editable install that only runs where it was made: "
            "install it without -e, or name it in [envs] without"
        )
    inside = all(root.is_relative_to(base) for root in roots)
    if not inside:
        base = Path(os.path.commonpath([base, *roots]))
    return Editable(base, tuple(sorted(set(roots))))


def recorded(info: Path) -> Iterator[Path]:
    """The files of an installation, from its record."""
    try:
        lines = (info / "RECORD").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        path = line.split(",")[0].strip('"')
        yield Path(os.path.normpath(info.parent / path))


def _paths(pth: Path) -> list[Path]:
    lines = pth.read_text(encoding="utf-8", errors="replace").splitlines()
    return [Path(line) for line in lines if line.startswith("/")]


def _mapped(finder: Path) -> list[Path]:
    """What a finder of setuptools finds: it has dicts from names to paths."""
    found: list[Path] = []
    for node in ast.parse(finder.read_text(encoding="utf-8")).body:
        target = getattr(node, "target", None) or (getattr(node, "targets", None) or [None])[0]
        if getattr(target, "id", "") not in {"MAPPING", "NAMESPACES"}:
            continue
        value = ast.literal_eval(getattr(node, "value"))  # noqa: B009 - not every node has one
        for path in value.values():
            found += [Path(each) for each in ([path] if isinstance(path, str) else path)]
    return found


class Trees:
    """Reads folders of sources; a file that did not change is not read again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def read(self, name: str, editable: Editable) -> dict[str, SourceFile]:
        """Path below the base -> file.

        Raises:
            ImpossibleError: there is too much.
        """
        found: dict[str, SourceFile] = {}
        total = 0
        for path in _walk(editable):
            try:
                about = path.stat()
                digest = self._digest(path, about)
            except OSError:
                # Gone meanwhile, or unreadable: then it cannot be imported here either.
                continue
            total += about.st_size
            if total > LARGEST or len(found) >= MOST:
                raise ImpossibleError(
                    f"{name} is an editable install, and {editable.base} holds more than "
                    f"{LARGEST >> 20} MiB or {MOST} files: move its code into a folder src, or "
                    "name it in [envs] without"
                )
            inside = path.relative_to(editable.base).as_posix()
            mode = 0o755 if about.st_mode & 0o111 else 0o644
            found[inside] = SourceFile(path, digest, about.st_size, mode, about.st_mtime_ns)
        return found

    def _digest(self, path: Path, about: os.stat_result) -> str:
        stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
        known = self._known.get(path)
        if known and known[0] == stamp:
            return known[1]
        now = time.time()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if now - about.st_mtime > SETTLED:
            self._known[path] = (stamp, digest)
        return digest


def digest_of(tree: Mapping[str, SourceFile]) -> str:
    """Names the content of a folder of sources."""
    lines = [f"{path}\0{file.digest}\0{file.mode}" for path, file in sorted(tree.items())]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:32]


def folders(editable: Editable) -> Iterator[Path]:
    """All folders in which a change is a change of the sources."""
    for root in editable.roots:
        if root.is_dir():
            for folder, _ in _folders(root, editable.base):
                yield folder
        else:
            yield root.parent


def _walk(editable: Editable) -> Iterator[Path]:
    for root in editable.roots:
        if not root.is_dir():
            yield from sorted(root.parent.glob(f"{root.name}.*"))
            continue
        for folder, files in _folders(root, editable.base):
            for name in files:
                if not name.endswith((".pyc", ".pyo")):
                    yield folder / name


def _folders(root: Path, base: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders with the names of their files, in order; links are followed, once."""
    seen: set[str] = set()
    for folder, inner, files in os.walk(root, followlinks=True):
        here = Path(folder)
        real = os.path.realpath(folder)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner[:] = sorted(name for name in inner if not _is_ignored(here / name, base))
        yield here, sorted(files)


def _is_ignored(folder: Path, base: Path) -> bool:
    if folder.name in _IGNORED or folder.name.endswith(".egg-info"):
        return True
    if folder.parent == base and folder.name in _BUILT:
        return True
    # Of a folder that nobody may look into, pathlib would raise here.
    return os.path.exists(folder / "pyvenv.cfg")
