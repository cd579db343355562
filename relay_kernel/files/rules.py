"""What of a folder is kept equal, and what is left alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from relay_kernel.core.tree import Kind

#: The file in a folder's root whose lines add to the rules.
IGNORE_FILE = b".relayignore"
#: The folder in the root that is ours.
OWN = b".relay"

#: Left alone unless configured otherwise: what is rebuilt, what is half, what belongs to one place.
DEFAULT_IGNORE = (
    *(".venv/", "node_modules/", "__pycache__/", ".ipynb_checkpoints/", ".git/"),
    *("*.swp", "*.swx", "*~", ".~lock.*#", ".#*", ".nfs*", ".fuse_hidden*"),
    *(".mypy_cache/", ".ruff_cache/", ".pytest_cache/", ".DS_Store", ".Trash-*/"),
)

GIB = 1 << 30

# Of pathspec's regular expressions: how those begin that hold in any folder, and their groups.
_ANYWHERE = "^(?:.+/)?"
_GROUP_NAME = re.compile(r"\(\?P<\w+>")
_NOTHING = r"(?!)"


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a folder is kept equal, and for how long its trash is kept.

    Attributes:
        ignore: Lines in the syntax of ``.gitignore``.
        largest: Bytes; a larger file is skipped.
        large: Lines in the same syntax: files that may be of any size.
        trash_days: Days for which what was displaced is kept.
        trash_bytes: Bytes of it that are kept.
    """

    ignore: tuple[str, ...] = DEFAULT_IGNORE
    largest: int = 5 * GIB
    large: tuple[str, ...] = ()
    trash_days: float = 30.0
    trash_bytes: int = 10 * GIB


class Matcher:
    """The rules of one folder, ready for use.

    Attributes:
        wrong: Lines that are no patterns, and are not used.
    """

    def __init__(self, rules: Rules, added: bytes = b"") -> None:
        """Args: ``added`` is the text of the folder's own file of rules."""
        self.wrong: list[str] = []
        lines = [*rules.ignore, *os.fsdecode(added).splitlines()]
        self._ignored = self._spec(lines)
        self._screen = _screen(self._ignored)
        self._large = self._spec(rules.large)
        self._largest = rules.largest

    def _spec(self, lines: list[str] | tuple[str, ...]) -> GitIgnoreSpec:
        good = []
        for line in lines:
            try:
                GitIgnoreSpec.from_lines([line])
            except (ValueError, re.error):
                self.wrong.append(line)
            else:
                good.append(line)
        return GitIgnoreSpec.from_lines(good)

    def ignores(self, path: bytes, *, folder: bool) -> bool:
        """Whether the rules name ``path`` itself; the folders that it lies in are not asked."""
        name = os.fsdecode(path) + ("/" if folder else "")
        return self._screen.search(name) is not None and self._ignored.match_file(name)

    def hides(self, path: bytes, kind: Kind | None = None) -> bool:
        """Whether ``path`` is ignored, as ``kind`` or as any, or lies in a folder that is."""
        if path == OWN or path.startswith(OWN + b"/"):
            return True
        at = path.find(b"/")
        while at >= 0:
            if self.ignores(path[:at], folder=True):
                return True
            at = path.find(b"/", at + 1)
        if kind is not None:
            return self.ignores(path, folder=kind is Kind.FOLDER)
        return self.ignores(path, folder=False) or self.ignores(path, folder=True)

    def too_large(self, path: bytes, size: int) -> str:
        """Why a file of ``size`` bytes is skipped, or nothing."""
        if size <= self._largest or self._large.match_file(os.fsdecode(path)):
            return ""
        return f"is larger than {show_size(self._largest)}"


def _screen(spec: GitIgnoreSpec) -> re.Pattern[str]:
    """One pattern that is found in whatever any line is about: few files need more than that.

    A look asks of each file, and asking each line takes it longer than all the rest.
    """
    anywhere, others = [], []
    for pattern in spec.patterns:
        if pattern.include is None or pattern.regex is None:
            continue  # A comment.
        text = _GROUP_NAME.sub("(?:", pattern.regex.pattern)
        if text.startswith(_ANYWHERE):
            anywhere.append(text.removeprefix(_ANYWHERE))
        else:
            others.append(text)
    if anywhere:
        others.append(f"{_ANYWHERE}(?:{'|'.join(anywhere)})")
    return re.compile("|".join(others) or _NOTHING)


def show_size(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
