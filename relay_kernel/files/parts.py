"""What one end is made of; each part knows only those it works with."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay_kernel.files.fresh import Fresh

if TYPE_CHECKING:
    from relay_kernel.files.exchange import Exchange
    from relay_kernel.files.index import Index
    from relay_kernel.files.late import Late
    from relay_kernel.files.picture import Picture
    from relay_kernel.files.present import Present
    from relay_kernel.files.root import Root
    from relay_kernel.files.stage import Stage
    from relay_kernel.files.take import Taker
    from relay_kernel.files.trash import Trash
    from relay_kernel.files.watch import Watch


@dataclass(frozen=True, slots=True)
class Folds:
    """Which names a disk takes for the same."""

    case: bool = False
    form: bool = False

    @property
    def names(self) -> bool:
        """Whether there are any."""
        return self.case or self.form

    def same(self, one: bytes, other: bytes) -> bool:
        """Whether two names are one to this disk."""
        return self._plain(one) == self._plain(other)

    def _plain(self, name: bytes) -> str:
        text = os.fsdecode(name)
        if self.form or self.case:
            text = unicodedata.normalize("NFC", text)
        return text.casefold() if self.case else text

    @classmethod
    def probe(cls, folder: int) -> Folds:
        """Try it in an open folder."""
        case = _is_same(folder, b"probe-case", b"PROBE-case")
        form = _is_same(folder, "probe-\u00e9".encode(), "probe-e\u0301".encode())
        return cls(case, form)


def _is_same(folder: int, name: bytes, other: bytes) -> bool:
    try:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder))
    except OSError:
        return False
    try:
        os.lstat(other, dir_fd=folder)
    except OSError:
        return False
    else:
        return True
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


@dataclass(slots=True)
class Parts:
    """The parts of an open folder.

    Attributes:
        impossible: path -> why it cannot exist here, and the path that is in the way, if one is.
    """

    root: Root
    index: Index
    watch: Watch
    taker: Taker
    picture: Picture
    exchange: Exchange
    folds: Folds
    present: Present
    trash: Trash
    stage: Stage
    late: Late
    fresh: Fresh = field(default_factory=Fresh)
    impossible: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)

    def why_impossible(self, path: bytes) -> str:
        """Why ``path`` cannot exist here, or nothing."""
        reason, twin = self.impossible.get(path, ("", b""))
        if twin and not self.picture.knows(twin):
            del self.impossible[path]
            return ""
        return reason
