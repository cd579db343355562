"""What has to be done at both ends so that they become equal, in an order that works."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay_kernel.core.tree import ancestors, is_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from relay_kernel.core.tree import Entry


@dataclass(frozen=True, slots=True)
class Change:
    """Make ``path`` at one end become ``new``, only if it still is ``old``.

    ``kept_at``: only if at this end ``old`` lies there too. It is the only other place of what
    this change displaces, and nobody has seen it replaced.
    """

    path: bytes
    old: Entry | None
    new: Entry | None
    kept_at: bytes | None = None

    @property
    def clears(self) -> bool:
        """Whether what lies below has to be gone first, or nothing comes in its place."""
        return self.new is None or (is_folder(self.old) and not is_folder(self.new))


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both ends moved away from the base: the server's version keeps ``path``."""

    path: bytes
    copy: bytes
    """Where the target's version, with all below it, lies afterwards, at both ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes both ends equal. Each change stands alone: any of them may be refused.

    The base follows only once both ends are *durable*, for what is agreed as for what was changed:
    an end that a power cut puts back behind the base seems to have gone back on purpose.
    """

    server: tuple[Change, ...] = ()
    target: tuple[Change, ...] = ()
    agreed: Mapping[bytes, Entry | None] = field(default_factory=dict)
    """Both ends are equal there already: only the base has to follow."""
    conflicts: tuple[Conflict, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do, if only at the base."""
        return bool(self.server or self.target or self.agreed)

    def settled(
        self, server: Collection[bytes], target: Collection[bytes]
    ) -> dict[bytes, Entry | None]:
        """What the base has to say once this much was done.

        Args:
            server: the paths whose change was made at the server.
            target: likewise at the target.

        Returns:
            The paths where both ends are now as planned, and what they are.
        """
        done = dict(self.agreed)
        undone: dict[bytes, Change] = {}
        for made, changes in ((server, self.server), (target, self.target)):
            undone.update((change.path, change) for change in changes if change.path not in made)
        for change in (*self.server, *self.target):
            if change.path not in undone:
                done[change.path] = change.new
        done.update(_implied(done, undone))
        return done

    def origin(self, path: bytes) -> bytes:
        """Where the target has, before any change, what the server is to get at ``path``."""
        for conflict in self.conflicts:
            if path == conflict.copy or path.startswith(conflict.copy + b"/"):
                return conflict.path + path[len(conflict.copy) :]
        return path


def _implied(
    done: Mapping[bytes, Entry | None], undone: Mapping[bytes, Change]
) -> dict[bytes, Entry | None]:
    """What holds at both ends of what was refused, because of what was made above or below it.

    What lies at both lies in a folder at both: one that a program made meanwhile, or one of which
    only the mode is still to be changed. And below what is no folder nothing lies.
    """
    found: dict[bytes, Entry | None] = {}
    for path, new in done.items():
        for above in ancestors(path) if new is not None else ():
            change = undone.get(above)
            if change is not None:
                found[above] = change.old if is_folder(change.old) else change.new
    for path in undone:
        if any(above in done and not is_folder(done[above]) for above in ancestors(path)):
            found[path] = None
    return found


def arrange(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Put the changes for one end in an order that works.

    What others wait for (``kept_at``) comes first, folders come before what is put into them,
    and what lies below a folder goes before the folder does.
    """
    made: list[Change] = []
    cleared: list[Change] = []
    for change in sorted(changes, key=lambda change: change.path):
        (cleared if change.clears else made).append(change)
    awaited = {change.kept_at for change in (*made, *cleared)}
    made.sort(key=lambda change: change.path not in awaited)
    return (*made, *reversed(cleared))
