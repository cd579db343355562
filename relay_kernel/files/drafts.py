"""What a batch of changes brings, put into the stage before anything is changed."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import CHUNK, digest
from relay_kernel.files.durable import MANY, sync_all, sync_named
from relay_kernel.files.present import RefusedError
from relay_kernel.files.root import Parents, names
from relay_kernel.files.stage import Staging
from relay_kernel.files.step import Step, is_mode_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.files.parts import Parts
    from relay_kernel.files.rules import Matcher
    from relay_kernel.files.step import Brought

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP}
_NO_LINK = "is a link, which this disk cannot hold"


class Drafts:
    """The drafts of one batch.

    A folder that is new with all that is in it is put together as a whole, and is moved as a whole
    later: its content costs no rename each, and appears at once.
    """

    def __init__(self, parts: Parts, matcher: Matcher, stage: Parents) -> None:
        """Args: ``stage`` opens the folders in the stage."""
        self._parts = parts
        self._stage = parts.stage
        self._fd = parts.root.stage
        self._inside = stage
        self._tree = parts.picture.tree
        self._matcher = matcher
        self._grown: dict[bytes, Step] = {}

    def prepare(self, step: Step) -> None:
        """Make the draft of what a change brings.

        Raises:
            RefusedError: it brings nothing, or what it should not.
            UnsafePathError: its path leads out.
            OSError: the disk refused.
        """
        change, new = step.change, step.change.new
        names(change.path)
        self._refuse_excluded(change.path, new)
        if new is None or is_mode_only(change):
            return
        brought = step.brought
        if new.kind is Kind.FILE:
            _refuse_content(brought, new)
        if change.old is None and self._grow(step, new):
            return
        step.draft = self._stage.name()
        if isinstance(brought, Staging):
            step.draft, step.durable = brought.name, brought.durable
            step.pieces = brought.pieces
            return
        self._write(step, new, self._fd, step.draft)
        if new.kind is Kind.FOLDER and change.old is None:
            step.top = step.draft
            self._grown[change.path] = step

    def _grow(self, step: Step, new: Entry) -> bool:
        """Make the draft in that of its folder, if that is new too."""
        folder, _, name = step.change.path.rpartition(b"/")
        within = self._grown.get(folder)
        if within is None:
            return False
        draft = within.draft + b"/" + name
        at = self._inside.folder(within.draft)
        brought = step.brought
        try:
            if isinstance(brought, Staging):
                self._parts.exchange.create(self._fd, brought.name, at, name)
                step.pieces = brought.pieces
            else:
                self._write(step, new, at, name)
        except FileExistsError:
            # Two names that are one to this disk.
            return False
        step.draft, step.top = draft, within.top
        if new.kind is Kind.FOLDER:
            self._grown[step.change.path] = step
        return True

    def _write(self, step: Step, new: Entry, at: int, name: bytes) -> None:
        if new.kind is Kind.FOLDER:
            os.mkdir(name, 0o700, dir_fd=at)
        elif new.kind is Kind.LINK:
            self._link(step, new, at, name)
        else:
            assert step.brought is not None
            assert not isinstance(step.brought, Staging)
            self._stage.write(step.brought, new, at, name)

    def _link(self, step: Step, new: Entry, at: int, name: bytes) -> None:
        try:
            os.symlink(new.content, name, dir_fd=at)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._parts.impossible[step.change.path] = (_NO_LINK, b"")
            raise RefusedError(_NO_LINK) from None

    def _refuse_excluded(self, path: bytes, new: Entry | None) -> None:
        folder = path[: max(0, path.rfind(b"/"))]
        is_folder = new is not None and new.kind is Kind.FOLDER
        if not folder or folder in self._tree or folder in self._grown:
            hidden = self._matcher.ignores(path, folder=is_folder)
        else:
            hidden = self._matcher.hides(path)
        if hidden:
            raise RefusedError("is ignored here")
        if new is not None:
            large = self._matcher.too_large(path, new.size)
            if large:
                raise RefusedError(large)

    def sync(self, steps: Sequence[Step]) -> None:
        """Make the drafts durable, so that no name ever stands for half a file.

        Raises:
            OSError: the disk lost something.
        """
        waiting = [step for step in steps if step.draft and not step.durable and not step.reason]
        if len(waiting) > MANY:
            sync_all(self._fd)
            return
        for step in waiting:
            if step.change.new is not None and step.change.new.kind is not Kind.LINK:
                at, name = self._inside.of(step.draft)
                sync_named(at, name)

    def tidy(self, steps: Sequence[Step]) -> None:
        """Remove what was not used; a file that was received stays, for another try."""
        self._inside.close()
        for step in steps:
            if isinstance(step.brought, Staging):
                self._stage.ended(step.brought.name)
            elif step.draft and b"/" not in step.draft:
                self._stage.remove(step.draft)


def _refuse_content(brought: Brought, new: Entry) -> None:
    if isinstance(brought, Staging):
        if not brought.done or brought.entry.content != new.content:
            raise RefusedError("has not arrived whole")
    elif not isinstance(brought, (bytes, memoryview)):
        raise RefusedError("has no content")
    elif len(brought) > CHUNK or digest(brought) != new.content:
        raise RefusedError("arrived damaged")
