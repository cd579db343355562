"""One change on its way into a folder: moved in, moved out, or set, and checked."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.displace import STAYS, Displacer
from relay_kernel.files.durable import MANY, sync, sync_all, sync_named
from relay_kernel.files.errors import UnsafePathError
from relay_kernel.files.index import Trust, row_of
from relay_kernel.files.present import CHANGED, RefusedError
from relay_kernel.files.root import show
from relay_kernel.files.stage import Staging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.core.reconcile import Change
    from relay_kernel.files.parts import Parts
    from relay_kernel.files.root import Parents
    from relay_kernel.files.trash import Batch

#: What a change may bring: a file that was received, the whole content of a small one, or nothing.
Brought = Staging | bytes | memoryview | None

#: How a reason begins that may be gone once the rest of the batch is made.
BESIDE = "cannot exist beside "
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ENTER = _READ | os.O_DIRECTORY
#: Names that are told of a folder that stays.
_TOLD = 3
_NEEDED = stat.S_IRWXU


@dataclass(slots=True)
class Step:
    """A change, and what became of it.

    Attributes:
        draft: where what it brings is, in the stage, as long as it is there.
        top: the draft of a new folder that this one is in, or is.
        durable: whether the draft is on the disk.
        pieces: the digests of the pieces of a longer file.
        reason: why it was not made; empty while it may be, and when it was.
    """

    change: Change
    brought: Brought = None
    draft: bytes = b""
    top: bytes = b""
    durable: bool = False
    pieces: Sequence[bytes] = ()
    reason: str = ""


def is_mode_only(change: Change) -> bool:
    """Whether a change is one of permissions, and needs no content."""
    old, new = change.old, change.new
    return (
        old is not None
        and new is not None
        and old.kind is new.kind
        and old.content == new.content
        and old.kind is not Kind.LINK
    )


class Maker:
    """Makes the changes of one batch, whose drafts are ready and durable."""

    def __init__(self, parts: Parts, parents: Parents, stage: Parents, trash: Batch) -> None:
        """Args: ``parents`` and ``stage`` open the folders in the folder and in the stage."""
        self._parts = parts
        self._stage = stage
        self._folders: dict[bytes, list[Step]] = {}
        self._landed: set[bytes] = set()
        self._root = parts.root
        self._exchange = parts.exchange
        self._present = parts.present
        self._picture = parts.picture
        self._parents = parents
        self._displacer = Displacer(parts, trash)
        self._touched: set[bytes] = set()
        self._set: list[bytes] = []
        self._modes: dict[bytes, int] = {}

    def gather(self, steps: Sequence[Step]) -> None:
        """Note which new folders come as a whole."""
        for step in steps:
            if step.top and step.change.new is not None and step.change.new.kind is Kind.FOLDER:
                self._folders.setdefault(step.top, []).append(step)

    def make(self, step: Step) -> None:
        """Make one change.

        Raises:
            RefusedError: what is there is not what was expected; nothing was changed.
            UnsafePathError: the path leads out of the folder.
            OSError: the disk or the system refused.
        """
        path = step.change.path
        folder = path[: max(0, path.rfind(b"/"))]
        at, name = self._parents.of(path)
        known = self._picture.tree.get(folder)
        if folder and (known is None or known.kind is not Kind.FOLDER):
            # It has come, and was not looked at yet: what goes into it is part of that.
            raise RefusedError(CHANGED)
        try:
            self._make(step, at, name)
        except PermissionError:
            if not self._open_up(folder, at):
                raise
            self._make(step, at, name)
        self._touched.add(folder)

    def _make(self, step: Step, at: int, name: bytes) -> None:
        change = step.change
        if change.new is None:
            self._delete(change, at, name)
        elif is_mode_only(change):
            self._set_mode(change, at, name)
        elif change.old is None:
            self._create(step, at, name)
        else:
            self._replace(step, at, name)

    def _open_up(self, folder: bytes, at: int) -> bool:
        """Let ourselves into a folder of ours that nobody may write to; until the batch is made."""
        found = os.fstat(at)
        if found.st_uid != os.geteuid() or found.st_mode & _NEEDED == _NEEDED or not folder:
            return False
        self._modes.setdefault(folder, found.st_mode & 0o777)
        os.fchmod(at, found.st_mode & 0o777 | _NEEDED)
        return True

    # -- each kind of change

    def _create(self, step: Step, at: int, name: bytes) -> None:
        change, new = step.change, step.change.new
        assert new is not None
        if self._has_landed(step):
            self._record(step, at, name)
            return
        coming = self._coming(step)
        for each in coming:
            self._watch_draft(each)
        try:
            source, draft = self._stage.of(step.draft)
            self._exchange.create(source, draft, at, name)
        except OSError as error:
            for each in coming:
                self._parts.watch.drop(each.change.path)
            if not isinstance(error, FileExistsError):
                raise
            if self._present.is_now(at, name, change.path, new):
                self._record(step, at, name)
                return
            self._refuse_twin(change.path)
            raise RefusedError(self._picture.held.get(change.path, CHANGED)) from None
        if coming:
            self._landed.add(step.draft)
            self._stage.forget(step.draft)
        step.draft = b""
        self._record(step, at, name)

    def _coming(self, step: Step) -> list[Step]:
        """The new folders that are moved with a step."""
        assert step.change.new is not None
        if step.change.new.kind is not Kind.FOLDER:
            return []
        below = step.draft + b"/"
        group = self._folders.get(step.top, [])
        return [step, *(each for each in group if each.draft.startswith(below))]

    def _has_landed(self, step: Step) -> bool:
        """Whether a folder that it is in was moved already, and it with that."""
        if not self._landed or not step.top:
            return False
        if step.top in self._landed:
            return True
        draft = step.draft
        while b"/" in draft:
            draft = draft.rpartition(b"/")[0]
            if draft in self._landed:
                return True
        return False

    def _watch_draft(self, step: Step) -> None:
        """Watch a new folder before anybody can put something into it."""
        new = step.change.new
        if new is None or new.kind is not Kind.FOLDER:
            return
        at, name = self._stage.of(step.draft)
        fd = os.open(name, _ENTER, dir_fd=at)
        try:
            os.fchmod(fd, new.mode | _NEEDED)
            self._parts.watch.add(step.change.path, fd)
        finally:
            os.close(fd)
        if new.mode & _NEEDED != _NEEDED:
            self._modes[step.change.path] = new.mode

    def _refuse_twin(self, path: bytes) -> None:
        """Where names that differ in case or form are one, say which is in the way."""
        if not self._parts.folds.names:
            return
        folder = path[: max(0, path.rfind(b"/"))]
        for other in self._picture.inside(folder):
            if other != path and self._parts.folds.same(other, path):
                reason = f"{BESIDE}{show(other)}: to this disk the two names are one"
                self._parts.impossible[path] = (reason, other)
                raise RefusedError(reason)

    def _replace(self, step: Step, at: int, name: bytes) -> None:
        change, old = step.change, step.change.old
        assert old is not None
        try:
            before = self._present.expect(at, name, change.path, old)
        except RefusedError:
            assert change.new is not None
            if not self._present.is_now(at, name, change.path, change.new):
                raise
            self._record(step, at, name)
            return
        if old.kind is Kind.FOLDER:
            self._refuse_full(change.path, at, name)
        self._watch_draft(step)
        self._displacer.replace(change, step.draft, at, name, before)
        step.draft = b""
        if old.kind is Kind.FOLDER:
            self._parents.forget(change.path)
        self._record(step, at, name)

    def _delete(self, change: Change, at: int, name: bytes) -> None:
        try:
            os.lstat(name, dir_fd=at)
        except FileNotFoundError:
            self._forget(change.path)
            return
        if change.old is None:
            raise RefusedError(CHANGED)
        before = self._present.expect(at, name, change.path, change.old)
        if change.old.kind is Kind.FOLDER:
            self._refuse_full(change.path, at, name)
            os.rmdir(name, dir_fd=at)
            self._parents.forget(change.path)
        else:
            self._displacer.remove(change, at, name, before)
        self._forget(change.path)

    def _refuse_full(self, path: bytes, at: int, name: bytes) -> None:
        """Refuse to remove a folder that has anything in it, and say what."""
        fd = os.open(name, _ENTER, dir_fd=at)
        try:
            inside = sorted(os.fsencode(item) for item in os.listdir(fd))
        finally:
            os.close(fd)
        if inside:
            told = ", ".join(self._about(path + b"/" + item) for item in inside[:_TOLD])
            more = f" and {len(inside) - _TOLD} more" if len(inside) > _TOLD else ""
            raise RefusedError(f"{STAYS}{told}{more} in it")

    def _about(self, path: bytes) -> str:
        name = show(path.rpartition(b"/")[2])
        reason = self._picture.held.get(path) or self._picture.skipped.get(path)
        if reason:
            return f"{name} ({reason})"
        return name if path in self._picture.tree else f"{name} (is not kept equal)"

    def _set_mode(self, change: Change, at: int, name: bytes) -> None:
        assert change.old is not None
        assert change.new is not None
        try:
            self._present.expect(at, name, change.path, change.old)
        except RefusedError:
            if not self._present.is_now(at, name, change.path, change.new):
                raise
        fd = os.open(name, _READ, dir_fd=at)
        try:
            os.fchmod(fd, change.new.mode & 0o777)
        finally:
            os.close(fd)
        self._set.append(change.path)
        self._record(Step(change), at, name)

    # -- what is known afterwards

    def _record(self, step: Step, at: int, name: bytes) -> None:
        path, new = step.change.path, step.change.new
        assert new is not None
        if new.kind is Kind.FILE:
            found = os.lstat(name, dir_fd=at)
            known = self._parts.index.rows.get(path)
            trust = Trust.RACY if self._present.racy(found) else Trust.SURE
            pieces = step.pieces
            if not pieces and known is not None and known.content == new.content:
                pieces = self._parts.index.pieces(path, new.content) or ()
            self._parts.index.put(path, row_of(found, new.content, trust), pieces)
            new = Entry(new.kind, new.content, new.mode, found.st_size, found.st_mtime_ns)
        old = step.change.old
        if old is not None and old.kind is Kind.FOLDER and new.kind is not Kind.FOLDER:
            self._forget(path)
        self._picture.put(path, new)

    def _forget(self, path: bytes) -> None:
        for gone in self._picture.remove(path):
            self._parts.index.drop(gone)
            self._parts.watch.drop(gone)

    # -- the end of the batch

    def settle_modes(self) -> None:
        """Give the folders their modes that would have been in the way."""
        for path, mode in self._modes.items():
            with contextlib.suppress(OSError):
                os.fchmod(self._parents.folder(path), mode)

    def sync(self) -> None:
        """Make durable what was moved. Raises OSError when the disk lost it."""
        trashed = self._displacer.opened()
        folders = [path for path in self._touched if not path or path in self._picture.tree]
        if len(folders) + len(trashed) + len(self._set) > MANY:
            sync_all(self._root.fd)
            return
        try:
            for path in self._set:
                at, name = self._parents.of(path)
                sync_named(at, name)
            for folder in folders:
                sync(self._parents.folder(folder) if folder else self._root.fd)
        except (FileNotFoundError, NotADirectoryError, UnsafePathError):
            # Somebody has moved it meanwhile; wherever that is.
            sync_all(self._root.fd)
        for fd in trashed:
            sync(fd)
