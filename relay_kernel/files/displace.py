"""Takes out of the folder what is to go, and puts it back if what came out is another."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.errors import UnsafePathError
from relay_kernel.files.present import CHANGED, RefusedError

if TYPE_CHECKING:
    from relay_kernel.core.reconcile import Change
    from relay_kernel.files.parts import Parts
    from relay_kernel.files.trash import Batch

#: How reasons begin that may be gone once the rest of the batch is made.
STAYS = "stays: "
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Displacer:
    """Moves things to the trash for one batch. Whatever goes wrong, nothing is lost.

    ``at`` and ``name`` are the open folder and the name of what is to go, ``before`` is how it
    looked when it was found to be what was expected.
    """

    def __init__(self, parts: Parts, trash: Batch) -> None:
        self._parts = parts
        self._stage = parts.root.stage
        self._exchange = parts.exchange
        self._trash = trash

    def opened(self) -> list[int]:
        """The open folders of the trash that something went into."""
        return list(self._trash.opened())

    def remove(self, change: Change, at: int, name: bytes, before: os.stat_result) -> None:
        """Take away a file or a link.

        Raises:
            RefusedError: what came out is not what was expected; it is back.
            OSError: the disk refused.
        """
        spot, kept = self._slot(change.path)
        self._out(change, at, name, before=before, spot=spot, kept=kept)
        self._note(change, spot, kept)

    def replace(
        self, change: Change, draft: bytes, at: int, name: bytes, before: os.stat_result
    ) -> None:
        """Put a draft in the place of what is there.

        Raises:
            RefusedError: what came out is not what was expected; it is back.
            OSError: the disk refused.
        """
        spot, kept = self._slot(change.path)
        if self._exchange.swaps:
            # By way of the trash, so that what comes out is in its place at once.
            self._exchange.create(self._stage, draft, spot, kept)
            self._swap(change, draft, at, name, before=before, spot=spot, kept=kept)
        else:
            self._out(change, at, name, before=before, spot=spot, kept=kept)
            self._move_in(change, draft, at, name, spot=spot, kept=kept)
        self._note(change, spot, kept)

    def _swap(
        self,
        change: Change,
        draft: bytes,
        at: int,
        name: bytes,
        *,
        before: os.stat_result,
        spot: int,
        kept: bytes,
    ) -> None:
        ours = os.lstat(kept, dir_fd=spot)
        try:
            self._exchange.swap(spot, kept, at, name)
        except OSError:
            self._exchange.create(spot, kept, self._stage, draft)
            raise
        try:
            self._check(change, spot, kept, before)
        except BaseException:
            self._swap_back(change, draft, at, name, ours=ours, spot=spot, kept=kept)
            raise

    def _swap_back(
        self,
        change: Change,
        draft: bytes,
        at: int,
        name: bytes,
        *,
        ours: os.stat_result,
        spot: int,
        kept: bytes,
    ) -> None:
        """What came out is somebody's: it goes back, and our draft comes out again."""
        try:
            self._exchange.swap(spot, kept, at, name)
        except FileNotFoundError:
            # Somebody took the name away in this very moment; what came out is theirs.
            self._put_back(change.path, at, name, spot=spot, kept=kept)
            return
        if os.path.samestat(os.lstat(kept, dir_fd=spot), ours):
            self._exchange.create(spot, kept, self._stage, draft)
        else:
            # Somebody put something in the place of our draft: it is theirs too.
            self._parts.late.bring_back(change.path, spot, kept)

    def _move_in(
        self, change: Change, draft: bytes, at: int, name: bytes, *, spot: int, kept: bytes
    ) -> None:
        try:
            self._exchange.create(self._stage, draft, at, name)
        except FileExistsError:
            self._note(change, spot, kept)
            raise RefusedError(CHANGED) from None
        except OSError:
            self._put_back(change.path, at, name, spot=spot, kept=kept)
            raise

    def _out(
        self,
        change: Change,
        at: int,
        name: bytes,
        *,
        before: os.stat_result,
        spot: int,
        kept: bytes,
    ) -> None:
        self._exchange.create(at, name, spot, kept)
        try:
            self._check(change, spot, kept, before)
        except BaseException:
            self._put_back(change.path, at, name, spot=spot, kept=kept)
            raise

    def _put_back(self, path: bytes, at: int, name: bytes, *, spot: int, kept: bytes) -> None:
        try:
            self._exchange.create(spot, kept, at, name)
        except FileExistsError:
            # Somebody was quicker: what came out comes back beside it.
            self._parts.late.bring_back(path, spot, kept)

    def _check(self, change: Change, spot: int, kept: bytes, before: os.stat_result) -> None:
        old = change.old
        assert old is not None
        if old.kind is not Kind.FOLDER:
            self._parts.present.came_out(spot, kept, old, before)
            return
        # An empty folder is worth no place in the trash; one that is not empty cannot go.
        try:
            fd = os.open(kept, _ENTER, dir_fd=spot)
        except NotADirectoryError:
            raise RefusedError(CHANGED) from None
        try:
            if os.listdir(fd):
                raise RefusedError(f"{STAYS}something was put into it meanwhile")
        finally:
            os.close(fd)

    def _note(self, change: Change, spot: int, kept: bytes) -> None:
        """Something is in the trash now."""
        old = change.old
        assert isinstance(old, Entry)
        if old.kind is Kind.FOLDER:
            with contextlib.suppress(OSError):
                os.rmdir(kept, dir_fd=spot)
            return
        self._parts.trash.know(change.path, self._trash.when, old)
        self._parts.late.add(change.path, self._trash.when, os.lstat(kept, dir_fd=spot))

    def _slot(self, path: bytes) -> tuple[int, bytes]:
        try:
            spot, kept = self._trash.slot(path)
            os.lstat(kept, dir_fd=spot)
        except FileNotFoundError:
            return spot, kept
        except (NotADirectoryError, UnsafePathError):
            pass
        # The same batch has displaced something there already.
        self._trash.renew(self._parts.trash.moment())
        return self._trash.slot(path)
