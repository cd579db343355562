"""Makes changes in a folder, each only if what it replaces is what was expected."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import CHUNK, digest
from relay_kernel.files.durable import MANY, sync_all, sync_named
from relay_kernel.files.errors import NoSpaceError, UnsafePathError
from relay_kernel.files.present import CHANGED, RefusedError
from relay_kernel.files.root import Parents, names
from relay_kernel.files.stage import Staging
from relay_kernel.files.step import BESIDE, STAYS, Brought, Maker, Step, is_mode_only

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay_kernel.core.reconcile import Change
    from relay_kernel.files.parts import Parts
    from relay_kernel.files.rules import Matcher

#: Changes between two looks at what the watch has heard: its queue in the kernel is bounded.
_HEAR = 2000
#: errno -> what a name is that this disk refuses for ever.
_BAD_NAME = {
    errno.EINVAL: "has a name that this disk cannot hold",
    errno.EILSEQ: "has a name that this disk cannot hold",
    errno.ENAMETOOLONG: "has a name that is too long for this disk",
}


def commit(parts: Parts, matcher: Matcher, changes: Sequence[tuple[Change, Brought]]) -> list[str]:
    """Make ``changes``, in order; say for each why it was not made, or nothing.

    All that was made is durable when this returns.

    Raises:
        NoSpaceError: the contents do not fit; nothing was done.
        OSError: the disk lost something that was to be durable.
    """
    _check_room(parts, changes)
    steps = [Step(change, brought) for change, brought in changes]
    unreported = parts.picture.take()
    batch = parts.trash.begin()
    drafts = Drafts(parts, matcher)
    try:
        with Parents(parts.root.fd) as parents, batch:
            maker = Maker(parts, parents, batch)
            for step in steps:
                _attempt(parts, step, drafts.prepare)
            drafts.sync(steps)
            _make(parts, maker, steps)
            maker.settle_modes()
            maker.sync()
    finally:
        drafts.tidy(steps)
        made = {step.change.path for step in steps if not step.reason}
        parts.picture.take()
        parts.picture.changed = {p: e for p, e in unreported.items() if p not in made}
    return [step.reason for step in steps]


def _make(parts: Parts, maker: Maker, steps: Sequence[Step]) -> None:
    again = []
    for number, step in enumerate(steps, 1):
        _attempt(parts, step, maker.make)
        if step.reason.startswith((STAYS, BESIDE)):
            again.append(step)
        if number % _HEAR == 0 and not parts.watch.polls:
            parts.watch.drain()
    # A folder whose content went only later; a name that is one with another that went.
    for step in again:
        step.reason = ""
        parts.impossible.pop(step.change.path, None)
        _attempt(parts, step, maker.make)


def _check_room(parts: Parts, changes: Sequence[tuple[Change, Brought]]) -> None:
    needed = sum(
        len(brought) + 4096
        for _, brought in changes
        if brought is not None and not isinstance(brought, Staging)
    )
    if needed:
        parts.stage.check_room(needed)


def _attempt(parts: Parts, step: Step, act: Callable[[Step], None]) -> None:
    """Do something for one step; what goes wrong becomes its reason."""
    if step.reason:
        return
    try:
        act(step)
    except (RefusedError, UnsafePathError, NoSpaceError) as error:
        step.reason = str(error)
    except OSError as error:
        step.reason = _explain(parts, step.change, error)


def _explain(parts: Parts, change: Change, error: OSError) -> str:
    if error.errno in _BAD_NAME and change.new is not None:
        reason = parts.impossible[change.path] = _BAD_NAME[error.errno]
        return reason
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return CHANGED if change.old is not None else "its folder is not there"
    if error.errno == errno.EXDEV:
        return "is on another filesystem"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return str(parts.stage.full(change.new.size if change.new else 0))
    return f"cannot be changed: {error.strerror}"


class Drafts:
    """What a batch brings, put into the stage before anything is changed."""

    def __init__(self, parts: Parts, matcher: Matcher) -> None:
        self._stage = parts.stage
        self._fd = parts.root.stage
        self._tree = parts.picture.tree
        self._matcher = matcher

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
        if new.kind is Kind.FILE:
            self._prepare_file(step, new)
            return
        name = self._stage.name()
        if new.kind is Kind.FOLDER:
            os.mkdir(name, 0o700, dir_fd=self._fd)
        else:
            os.symlink(new.content, name, dir_fd=self._fd)
        step.draft, step.durable = name, True

    def _prepare_file(self, step: Step, new: Entry) -> None:
        brought = step.brought
        if brought is None:
            raise RefusedError("has no content")
        if not isinstance(brought, Staging):
            if len(brought) > CHUNK or digest(brought) != new.content:
                raise RefusedError("arrived damaged")
            step.draft = self._stage.write(brought, new)
            return
        if not brought.done or brought.entry.content != new.content:
            raise RefusedError("has not arrived whole")
        step.draft, step.durable = brought.name, brought.durable
        step.pieces = brought.pieces

    def _refuse_excluded(self, path: bytes, new: Entry | None) -> None:
        folder = path[: max(0, path.rfind(b"/"))]
        if not folder or folder in self._tree:
            is_folder = new is not None and new.kind is Kind.FOLDER
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
            sync_named(self._fd, step.draft)

    def tidy(self, steps: Sequence[Step]) -> None:
        """Remove what was not used; a file that was received stays, for another try."""
        for step in steps:
            if isinstance(step.brought, Staging):
                self._stage.ended(step.brought.name)
            elif step.draft:
                self._stage.remove(step.draft)
