"""``relay kernelspecs``: write the kernelspecs ``relay-NAME`` now, or remove them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from relay_kernel.core.errors import RelayError

if TYPE_CHECKING:
    from relay_kernel.mirror.mirroring import Report


def kernelspecs(
    clean: Annotated[bool, typer.Option("--clean", help="Remove all of them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Write relay-NAME for each Python kernel here. A Jupyter Server does so by itself."""
    if clean:
        _clean(as_json=as_json)
    else:
        _write(as_json=as_json)


def _clean(*, as_json: bool) -> None:
    from relay_kernel.mirror.mirroring import remove_mirrors

    try:
        removed = remove_mirrors()
    except OSError as error:
        raise RelayError(f"{error.filename} cannot be removed: {error.strerror}") from error
    if as_json:
        print(json.dumps({"removed": removed}, indent=2))
    else:
        print(f"removed {', '.join(removed)}" if removed else "there was nothing to remove")


def _write(*, as_json: bool) -> None:
    from relay_kernel.mirror.mirroring import mirror_specs

    report = mirror_specs()
    if as_json:
        shown = {name: getattr(report, name) for name in ("mirrors", "written", "removed")}
        print(json.dumps(shown | {"left_out": report.left_out}, indent=2))
    else:
        _show(report)
    if report.problem:
        raise RelayError(report.problem)


def _show(report: Report) -> None:
    lines = {name: f"not mirrored: {why}" for name, why in report.left_out.items()}
    for mirror, original in report.mirrors.items():
        lines[original] = f"{mirror} ({'new' if mirror in report.written else 'there'})"
    width = max(map(len, lines), default=0)
    for name, line in sorted(lines.items()):
        print(f"{name:<{width}}  {line}")
    if report.removed:
        print(f"removed {', '.join(report.removed)}")
