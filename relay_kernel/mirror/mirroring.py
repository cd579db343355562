"""Brings the mirrors on disk in line with the originals."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import jupyter_data_dir

import relay_kernel
from relay_kernel.mirror.folder import KernelsFolder
from relay_kernel.mirror.generated import (
    FORMAT,
    Mark,
    Mirror,
    mirror_names,
    mirror_of,
    own_interpreter,
)
from relay_kernel.mirror.originals import find_originals
from relay_kernel.mirror.record import enter_in_record

if TYPE_CHECKING:
    from relay_kernel.mirror.originals import Finder, Found


@dataclass
class Report:
    """What there is, and what was done."""

    folder: Path | None = None
    """Where mirrors are written; None if there is no such place."""
    mirrors: dict[str, str] = field(default_factory=dict)
    """Mirror's name -> original's name, of all that are on disk now."""
    written: list[str] = field(default_factory=list)
    """Names of mirrors that are new or changed."""
    removed: list[str] = field(default_factory=list)
    """Names of mirrors whose original is gone."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Original's name -> why it has no mirror."""
    problem: str = ""
    """One line, if something could not be done."""


def mirror_specs(finder: Finder | None = None) -> Report:
    """Write ``relay-NAME`` for each Python kernelspec, and remove those whose original is gone.

    Any number of processes may do so at a time. Takes a few milliseconds if nothing has changed.

    Args:
        finder: has the originals; by default those are meant that lie on the disk.
    """
    if not is_installed():
        return Report(problem="relay-kernel is no longer installed here")
    return _Mirroring(finder or KernelSpecManager()).run()


def remove_mirrors() -> list[str]:
    """Remove all mirrors that were written from this installation; return their names.

    Raises:
        OSError: one of them cannot be removed.
    """
    removed = []
    for folder in kernels_folders():
        marks = folder.marks()
        ours = [n for n, m in marks.items() if _is_ours(m) or not os.path.exists(m.interpreter)]
        if ours:
            with folder.locked():
                for name in ours:
                    folder.remove(name)
            _enter(folder, folder.marks())
            removed += ours
    return sorted(removed)


def kernels_folders() -> list[KernelsFolder]:
    """Where mirrors may lie: that of this environment, and that of this user; the preferred first.

    A mirror in the environment is seen by the clients of that environment, which are those that
    its interpreter fits.
    """
    folders = [Path(sys.prefix) / "share" / "jupyter", Path(jupyter_data_dir())]
    read = {os.path.realpath(each) for each in KernelSpecManager().kernel_dirs}
    paths = [folder / "kernels" for folder in folders]
    return [KernelsFolder(path) for path in paths if os.path.realpath(path) in read]


def is_installed() -> bool:
    """Whether the package that runs here is still there: a server outlives ``pip uninstall``."""
    return Path(relay_kernel.__file__).exists()


class _Mirroring:
    def __init__(self, finder: Finder) -> None:
        self._interpreter = own_interpreter()
        self._found: Found = find_originals(finder)
        self._report = Report(left_out=dict(self._found.left_out))
        self._wanted: dict[str, Mirror] = {}

    def run(self) -> Report:
        folders = kernels_folders()
        chosen = next((folder for folder in folders if folder.is_writable()), None)
        if chosen is None:
            places = " nor to ".join(str(folder.path) for folder in folders)
            self._report.problem = f"kernelspecs can be written neither to {places}"
            return self._report
        self._report.folder = chosen.path
        self._choose(folders)
        for folder in folders:
            try:
                self._keep(folder, self._wanted if folder is chosen else {})
            except OSError as error:
                self._report.problem = f"{folder.path} cannot be written: {error.strerror}"
        return self._report

    def _choose(self, folders: list[KernelsFolder]) -> None:
        for name, mirror in mirror_names(self._found.originals).items():
            if self._is_taken(mirror, folders):
                why = f"{mirror} is there, and was not written by relay-kernel"
                self._report.left_out[name] = why
            else:
                original = self._found.originals[name]
                self._wanted[mirror] = mirror_of(original, mirror, self._interpreter)

    def _is_taken(self, name: str, folders: list[KernelsFolder]) -> bool:
        if name in self._found.originals or any(folder.is_foreign(name) for folder in folders):
            return True
        listed = self._found.others.get(name)
        if listed is None:
            return False
        there = Path(listed)
        return KernelsFolder(there.parent).is_foreign(there.name)

    def _keep(self, folder: KernelsFolder, wanted: dict[str, Mirror]) -> None:
        """Bring one folder in line."""
        marks = folder.marks()
        if self._differences(marks, wanted):
            with folder.locked():
                marks = folder.marks()
                for name in self._differences(marks, wanted):
                    self._change(folder, name, wanted.get(name))
            marks = folder.marks()
        _enter(folder, marks)
        self._report.mirrors.update({name: mark.original for name, mark in marks.items()})

    def _change(self, folder: KernelsFolder, name: str, mirror: Mirror | None) -> None:
        if mirror is None:
            folder.remove(name)
            self._report.removed.append(name)
        # An original that went while we waited for the lock: whoever had it removed its mirror.
        elif not folder.is_foreign(name) and os.path.exists(mirror.mark.evidence):
            folder.write(mirror)
            self._report.written.append(name)

    def _differences(self, marks: dict[str, Mark], wanted: dict[str, Mirror]) -> list[str]:
        """What is to be written or removed in a folder with these marks, by name."""
        stale = [n for n, mark in marks.items() if n not in wanted and self._is_stale(n, mark)]
        changed = [n for n, m in wanted.items() if n not in marks or self._follows(m, marks[n])]
        return stale + changed

    def _follows(self, mirror: Mirror, there: Mark) -> bool:
        """Whether a mirror takes the place of what is there under its name."""
        new = mirror.mark
        if there.digest == new.digest and there.interpreter == new.interpreter:
            return False
        if there.format > FORMAT:
            return False
        if not _is_ours(there) and os.access(there.interpreter, os.X_OK):
            # Of another environment that shares this folder, and it works.
            return False
        return (
            there.folder == new.folder or self._is_seen(there) or not os.path.exists(there.evidence)
        )

    def _is_seen(self, mark: Mark) -> bool:
        """Whether the folder of another original of the same name is one that we read too.

        If not, a Jupyter with other folders than ours wrote it: two of them would never end.
        """
        parent = os.path.realpath(Path(mark.folder).parent)
        return parent in {os.path.realpath(each) for each in KernelSpecManager().kernel_dirs}

    def _is_stale(self, name: str, mark: Mark) -> bool:
        """Whether a mirror that is not wanted here is to go: its original may only be unseen."""
        if not _is_ours(mark):
            return not os.path.exists(mark.interpreter)
        if name in self._wanted or not os.path.exists(mark.evidence):
            return True
        # Seen, and it is mirrored no more, or under another name.
        original = self._found.originals.get(mark.original)
        seen = str(original.folder) if original else self._found.others.get(mark.original)
        return seen == mark.folder


def _enter(folder: KernelsFolder, marks: dict[str, Mark]) -> None:
    """Say in the record of this installation what of ours a folder has."""
    enter_in_record(folder.path, [name for name, mark in marks.items() if _is_ours(mark)])


def _is_ours(mark: Mark) -> bool:
    return mark.interpreter == own_interpreter()
