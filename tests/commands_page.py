"""Writes what of ``docs/commands.md`` is made from the code: ``python -m tests.commands_page``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from typer.main import get_command

from relay_kernel.cli import COMMANDS, build_app

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"

#: What stands behind it is made from the code.
MARK = "<!-- From here on: python -m tests.commands_page -->\n"


def generated() -> str:
    """The part that is made from the code."""
    app: Any = get_command(build_app())
    parts = []
    for name in COMMANDS:
        if not app.commands[name].hidden:
            parts += _command(f"relay {name}", app.commands[name])
    return "\n".join(parts)


def _command(name: str, command: Any) -> list[str]:
    lines = [f"### `{name}`", "", command.help.strip(), ""]
    rows = [_row(each) for each in command.params if not getattr(each, "hidden", False)]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    for below, inner in getattr(command, "commands", {}).items():
        lines += _command(f"{name} {below}", inner)
    return lines


def _row(parameter: Any) -> str:
    value = parameter.metavar or parameter.name.upper()
    if parameter.param_type_name == "argument":
        words = [f"`{value}`"]
    else:
        words = [f"`{word}`" for word in (*parameter.opts, *parameter.secondary_opts)]
        if not parameter.is_flag:
            words[-1] = f"`{parameter.opts[-1]} {value}`"
    return f"| {', '.join(words)} | {(parameter.help or '').strip()} |"


def main() -> None:
    """Write the page anew."""
    own, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        sys.exit(f"{PAGE} has no line {MARK!r}")
    PAGE.write_text(f"{own}{mark}\n{generated()}", encoding="utf-8")


if __name__ == "__main__":
    main()
