"""``relay kernelspecs``: write the kernelspecs ``relay-NAME`` now, or remove them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from relay_kernel.core.errors import RelayError

if TYPE_CHECKING:
    from rich.console import Console


def kernelspecs(
    clean: Annotated[bool, typer.Option("--clean", help="Remove all of them.")] = False,
) -> None:
    """Write relay-NAME for each Python kernel here. A Jupyter Server does so by itself."""
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False, markup=False)
    if clean:
        _clean(console)
    else:
        _write(console)


def _clean(console: Console) -> None:
    from relay_kernel.mirror.mirroring import remove_mirrors

    try:
        removed = remove_mirrors()
    except OSError as error:
        raise RelayError(f"{error.filename} cannot be removed: {error.strerror}") from error
    console.print(f"removed {', '.join(removed)}" if removed else "there was nothing to remove")


def _write(console: Console) -> None:
    from relay_kernel.mirror.mirroring import mirror_specs

    report = mirror_specs()
    lines = {name: f"not mirrored: {why}" for name, why in report.left_out.items()}
    for mirror, original in report.mirrors.items():
        lines[original] = f"{mirror} ({'new' if mirror in report.written else 'there'})"
    width = max(map(len, lines), default=0)
    for name, line in sorted(lines.items()):
        console.print(f"{name:<{width}}  {line}")
    if report.removed:
        console.print(f"removed {', '.join(report.removed)}")
    if report.problem:
        raise RelayError(report.problem)
