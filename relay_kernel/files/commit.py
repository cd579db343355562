"""Makes changes in a folder, each only if what it replaces is what was expected."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from relay_kernel.files.displace import STAYS
from relay_kernel.files.drafts import Drafts
from relay_kernel.files.errors import NoSpaceError, UnsafePathError
from relay_kernel.files.present import CHANGED, RefusedError
from relay_kernel.files.root import Parents
from relay_kernel.files.stage import Staging
from relay_kernel.files.step import BESIDE, Brought, Maker, Step

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
    stage = Parents(parts.root.stage)
    drafts = Drafts(parts, matcher, stage)
    try:
        with Parents(parts.root.fd) as parents, batch:
            maker = Maker(parts, parents, stage, batch)
            for step in steps:
                _attempt(parts, step, drafts.prepare)
            drafts.sync(steps)
            maker.gather(steps)
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
        if number % _HEAR == 0:
            parts.watch.drain()
    # A folder whose content went only later; a name that is one with another that went.
    for step in again:
        step.reason = ""
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
        parts.impossible[change.path] = (_BAD_NAME[error.errno], b"")
        return _BAD_NAME[error.errno]
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return CHANGED if change.old is not None else "its folder is not there"
    if error.errno == errno.EXDEV:
        return "is on another filesystem"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return str(parts.stage.full(change.new.size if change.new else 0))
    return f"cannot be changed: {error.strerror}"
