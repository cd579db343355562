"""The report of ``relay status``, as a picture and as lines that tell what changed."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from relay_kernel.core.model import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

Report = dict[str, Any]
"""See :func:`relay_kernel.cli.status.collect`."""

_STYLES = {
    Phase.READY.value: "green",
    Phase.FILLING.value: "cyan",
    Phase.LINKED.value: "cyan",
    Phase.QUIET.value: "yellow",
    Phase.ABSENT.value: "red",
    "building": "cyan",
    "impossible": "red",
}

#: Letters of a notebook's id that tell it from others.
SHORT = 12


def picture(report: Report, reasons: Mapping[str, str] | None = None) -> RenderableType:
    """All of it as tables; empty ones are left out.

    Args:
        report: From ``collect``.
        reasons: Target -> why it is not there.
    """
    tables: list[RenderableType] = [_targets(report, reasons or {})]
    tables += [_notebooks(report)] if report["kernels"] else []
    tables += [_files(report)] if report["files"] else []
    tables += [_envs(report)] if report["envs"] else []
    return Group(*(part for table in tables for part in (table, "")))


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))


def _phase(phase: str) -> Text:
    return Text(phase, style=_STYLES.get(phase, ""))


def _targets(report: Report, reasons: Mapping[str, str]) -> Table:
    table = _table("target", "phase", "since", "host", "round trip", "")
    for name, target in report["targets"].items():
        rtt = f"{target['rtt_ms']} ms" if target["rtt_ms"] is not None else ""
        absent = target["phase"] == Phase.ABSENT.value
        reason = reasons.get(name, "") if absent else ""
        row = name, _phase(target["phase"]), ago(target["since"]), target["host"] or "", rtt
        table.add_row(*row, Text(reason, style="dim"))
    return table


def _notebooks(report: Report) -> Table:
    table = _table("notebook", "kernel", "runs on", "cell", "safe up to", "standby")
    for kernel in report["kernels"]:
        safe = kernel["safe_cell"] == kernel["cell"]
        standby = ", ".join(f"{n} ({s['applied_cell']})" for n, s in kernel["standby"].items())
        table.add_row(
            kernel["id"][:SHORT],
            kernel["spec"],
            kernel["primary"],
            str(kernel["cell"]),
            Text(str(kernel["safe_cell"]), style="green" if safe else "yellow"),
            standby,
        )
    return table


def _files(report: Report) -> Table:
    table = _table("files at", "on their way", "conflicts", "last equal")
    for target, state in report["files"].items():
        conflicts = Text(str(state["conflicts"]), style="yellow" if state["conflicts"] else "")
        table.add_row(target, str(state["pending"]), conflicts, _moment(state["last_sync"]))
    return table


def _envs(report: Report) -> Table:
    table = _table("environment", "target", "phase", "drift")
    for kernel, targets in report["envs"].items():
        for target, state in targets.items():
            drift = f"{len(state['drift'])} differences" if state["drift"] else ""
            table.add_row(kernel, target, _phase(state["phase"]), drift)
    return table


def ago(since: str | None) -> str:
    """How long ago an ISO time was, short."""
    return _passed(datetime.fromisoformat(since).timestamp()) if since else ""


def _moment(at: float | None) -> str:
    return f"{_passed(at)} ago" if at else "never"


def _passed(moment: float) -> str:
    seconds = max(0, int(time.time() - moment))
    for length, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


# ------------------------------------------------------------------ lines


def changes(before: Report | None, now: Report) -> Iterator[str]:
    """A line for each thing that is new, other than it was, or gone; with the time of day."""
    old, new = states(before) if before else {}, states(now)
    clock = datetime.now().astimezone().strftime("%H:%M:%S")
    for thing, state in new.items():
        if old.get(thing) != state:
            yield f"{clock} {thing}: {state}"
    for thing in old.keys() - new.keys():
        yield f"{clock} {thing}: gone"


def json_lines(before: Report | None, now: Report) -> Iterator[str]:
    """The whole report as one line of JSON, with its time, whenever it is another."""
    if before != now:
        yield json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **now})


def states(report: Report) -> dict[str, str]:
    """Each thing of a report, and how it stands, in a few words. Round trips are left out."""
    found = {}
    for name, target in report["targets"].items():
        host = f" on {target['host']}" if target["host"] else ""
        found[name] = f"{target['phase']}{host}"
    for kernel in report["kernels"]:
        found[f"notebook {kernel['id'][:SHORT]} ({kernel['spec']})"] = (
            f"runs on {kernel['primary']}, cell {kernel['cell']}, safe up to {kernel['safe_cell']}"
        )
    for target, state in report["files"].items():
        found[f"files at {target}"] = (
            f"{state['pending']} on their way, {state['conflicts']} conflicts"
        )
    for name, targets in report["envs"].items():
        for target, state in targets.items():
            drift = f", {len(state['drift'])} differences" if state["drift"] else ""
            found[f"environment {name} at {target}"] = f"{state['phase']}{drift}"
    return found
