"""What the file plane says, as lines for a person: in a terminal and in a notebook."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Paths that one line names.
NAMED = 5
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Bytes, as people say them: ``1.2 GB``."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if count >= 100 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def describe(status: Mapping[str, Any]) -> list[str]:
    """All of a plane's ``status``."""
    lines = [status["complaint"]] if status.get("complaint") else []
    if not status["folders"]:
        lines.append(
            "no folder is kept equal: name some under [files] folders in config.toml, or open a "
            "notebook in a folder below your home"
        )
    for name, folder in sorted(status["folders"].items()):
        lines += [f"~/{name}: {folder['trouble']}"] if folder["trouble"] else []
        lines += [f"~/{name}: {notice}" for notice in folder.get("notices", ())]
        for target, pair in sorted(folder["targets"].items()):
            error = status["targets"].get(target, {}).get("error", "")
            lines.append(f"~/{name} and {target}: {_state(pair, error)}")
            lines += [f"  {detail}" for detail in _details(pair)]
    return lines


def _state(pair: Mapping[str, Any], error: str) -> str:
    if pair["paused"]:
        return f"paused: {pair['paused']}"
    if pair["trouble"]:
        return str(pair["trouble"])
    seen = f"last equal {_ago(pair['last_sync'])}" if pair["last_sync"] else "never equal so far"
    if not pair["linked"]:
        waiting = f", {_files(pair['pending'])} to be sent" if pair["pending"] else ""
        return f"not linked, {seen}{waiting}" + (f"; {error}" if error else "")
    if pair["pending"]:
        return f"{_files(pair['pending'])} on their way, {size(pair['bytes'])}"
    return "equal"


def _details(pair: Mapping[str, Any]) -> Iterator[str]:
    for one in pair["transfers"]:
        share = 100 * one["done"] / one["size"] if one["size"] else 100
        left = (one["size"] - one["done"]) / one["rate"] if one["rate"] else None
        until = f", {left:.0f} s left" if left is not None else ""
        yield (
            f"{one['path']} to the {one['towards']}: {share:.0f} % of {size(one['size'])}, "
            f"{size(one['rate'])}/s{until}"
        )
    if pair["conflicts"]:
        yield f"{pair['conflicts']} conflicts, both versions are kept: see `relay files conflicts`"
    for reasons in (pair["held"], pair["refused"], pair["skipped"]):
        yield from (f"{path} {why}" for path, why in sorted(reasons.items()))


def conflicts(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each conflict."""
    return [
        f"~/{one['folder']}/{one['path']}: the version of {one['target']} is {one['copy']} "
        f"({_ago(one['at'])})"
        for one in found
    ]


def plans(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """What would be done, a line for each file."""
    lines = []
    for plan in found:
        for end, where in (("server", "the server"), ("target", plan["target"])):
            lines += [
                f"at {where}: {one['do']} ~/{plan['folder']}/{one['path']}"
                + (f" ({size(one['size'])})" if one["size"] else "")
                for one in plan[end]
            ]
        lines += [
            f"conflict: ~/{plan['folder']}/{one['path']}, {one['copy']} will be the version of "
            f"{plan['target']}"
            for one in plan["conflicts"]
        ]
    return lines or ["nothing is to be done"]


def missing(found: Sequence[Mapping[str, Any]], unnamed: int = 0) -> str:
    """Files that are not there yet, and ``unnamed`` ones, in a few words: the largest first."""
    rows = sorted(found, key=lambda one: -one["size"])
    names = [f"{one['path']} ({size(one['size'])}, {one['why']})" for one in rows[:NAMED]]
    rest = len(rows) - len(names) + unnamed
    return ", ".join([*names, *([f"{rest} more"] if rest else [])])


def waited(found: Sequence[Mapping[str, Any]], away: Sequence[str]) -> list[str]:
    """What is left after a wait for all that is ``found`` missing, and the targets ``away``."""
    lines = [f"not equal: {missing(found)}"] if found else []
    if away:
        lines.append(f"not linked, so not waited for: {', '.join(away)}")
    return lines or ["equal"]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _ago(moment: float) -> str:
    seconds = max(0.0, time.time() - moment)
    for length, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
