"""``relay status``: targets and notebooks, read from what their processes write down."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import psutil
import typer

from relay_kernel.core.model import LOCAL, Phase
from relay_kernel.hub.env_board import read_envs
from relay_kernel.settings.config import load_config
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.settings.paths import Places

#: The best phase that any notebook sees is that of the target.
_BEST = [phase.value for phase in (Phase.READY, Phase.FILLING, Phase.LINKED, Phase.QUIET)]
#: Seconds by which the times of a process and of a file may differ.
CLOCKS = 5.0

_NOTHING = {"since": None, "rtt_ms": None, "host": None, "boot_id": None, "agent_version": None}


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    follow: Annotated[
        bool, typer.Option("--watch", help="Go on until Ctrl-C; a line a change in a pipe.")
    ] = False,
) -> int:
    """Show where notebooks run, what is safe, and which targets are there."""
    from relay_kernel.cli import overview
    from relay_kernel.cli.watching import watch

    places = find_places()
    if follow:
        lines = overview.json_lines if as_json else overview.changes
        return watch(
            lambda: collect(places),
            lambda report: overview.picture(report, reasons(places)),
            lines,
        )
    report = collect(places)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        from rich.console import Console

        Console(highlight=False).print(overview.picture(report, reasons(places)))
    return 0


def reasons(places: Places) -> dict[str, str]:
    """Why targets are not there, as the hub was last told."""
    hub = (_read_live(places.hub_status) or {}).get("targets", {})
    return {name: target["error"] for name, target in hub.items() if target.get("error")}


def collect(places: Places) -> dict[str, Any]:
    """The report of ``relay status --json``, as the design fixes it.

    Raises:
        ConfigError: ``config.toml`` is broken.
    """
    names = [target.name for target in load_config(places.config).targets]
    notebooks = _notebooks(places.kernels)
    hub = _read_live(places.hub_status) or {}
    targets = {
        name: _target(name, notebooks, hub.get("targets", {}).get(name, {})) for name in names
    }
    targets[LOCAL] = _target(LOCAL, notebooks, {}) | {"phase": Phase.READY.value}
    return {
        "targets": targets,
        "kernels": [notebook["kernel"] for notebook in notebooks],
        "files": (_read_live(places.files_status) or {}).get("files", {}),
        "envs": {
            name: {
                target: {"phase": state["phase"], "drift": state["drift"]}
                for target, state in states.items()
            }
            for name, states in read_envs(places).items()
        },
    }


def _notebooks(folder: Path) -> list[dict[str, Any]]:
    """The status files of all notebooks that still run."""
    found = [_read_live(path) for path in sorted(folder.glob("*.json"))]
    return [notebook for notebook in found if notebook]


def _target(name: str, notebooks: list[dict[str, Any]], link: dict[str, Any]) -> dict[str, Any]:
    seen = [notebook["targets"][name] for notebook in notebooks if name in notebook["targets"]]
    seen.sort(key=lambda target: _rank(target["phase"]))
    if seen and seen[0]["phase"] in _BEST:
        best = seen[0]
        since = datetime.fromtimestamp(best["since"], UTC).isoformat() if best["since"] else None
        return {"phase": best["phase"], **{key: best[key] for key in _NOTHING}, "since": since}
    phase = link.get("phase", Phase.ABSENT.value)
    return {"phase": phase, **_NOTHING, "since": link.get("since"), "host": link.get("host")}


def _rank(phase: str) -> int:
    return _BEST.index(phase) if phase in _BEST else len(_BEST)


def _read_live(path: Path) -> dict[str, Any] | None:
    """What a process has written, if it still runs.

    A crash, or a power cut, leaves the file behind, and its number may be another process's then:
    one that was started later than the file was written.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        started = psutil.Process(value["pid"]).create_time()
        written = path.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return value if started <= written + CLOCKS else None
