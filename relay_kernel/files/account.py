"""How a pair stands, for people and programs: plain values, as JSON has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay_kernel.files.desk import SERVER, TARGET
from relay_kernel.files.root import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay_kernel.core.plan import Change, Plan
    from relay_kernel.files.base import Recorded
    from relay_kernel.files.pair import Pair
    from relay_kernel.files.trash import Trashed

#: Paths that are told of one by one, at most.
SHOWN = 100


def status(pair: Pair) -> dict[str, Any]:
    """How it stands: counts, sizes in bytes, times in seconds since the epoch."""
    work = pair.work
    ways = work.ways if work else []
    return {
        "pending": len(pair.barrier.open_paths()),
        "bytes": sum(way.backlog.size for way in ways),
        "conflicts": len(pair.base.conflicts),
        "last_sync": pair.last_sync,
        "paused": pair.paused,
        "trouble": pair.trouble or pair.driver.trouble,
        "linked": work is not None,
        "transfers": [one.shown() for way in ways for one in way.large.values()],
        "held": _shown(pair.driver.held | (work.remote.held if work else {})),
        "skipped": _shown(pair.driver.skipped | (work.remote.skipped if work else {})),
        "refused": _shown(work.desk.later.reasons() if work else {}),
        "free": {SERVER: pair.driver.free, TARGET: work.remote.free if work else None},
    }


def plan(planned: Plan) -> dict[str, list[dict[str, Any]]]:
    """What would be done at each end."""
    return {
        SERVER: [_change(change) for change in planned.server],
        TARGET: [_change(change) for change in planned.target],
        "conflicts": [{"path": show(c.path), "copy": show(c.copy)} for c in planned.conflicts],
    }


def conflicts(found: Iterable[Recorded]) -> list[dict[str, Any]]:
    """Conflicts, in their order."""
    return [{"path": show(one.path), "copy": show(one.copy), "at": one.at} for one in found]


def trash(found: Iterable[Trashed]) -> list[dict[str, Any]]:
    """What was displaced, in its order."""
    return [{"path": show(one.path), "when": one.when, "size": one.size} for one in found]


def _shown(reasons: dict[bytes, str]) -> dict[str, str]:
    return {show(path): why for path, why in list(reasons.items())[:SHOWN]}


def _change(change: Change) -> dict[str, Any]:
    old, new = change.old, change.new
    if new is None:
        what = "delete"
    elif old is None:
        what = "create"
    else:
        what = "replace" if (old.content, old.kind) != (new.content, new.kind) else "mode"
    some = new or old
    kind = some.kind.value if some else ""
    return {"do": what, "path": show(change.path), "kind": kind, "size": new.size if new else 0}
