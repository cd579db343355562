"""Where in a TOML text a key was set: the standard parser does not say."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The line (from 1) on which the statement begins that first sets ``path``.

    Works by parsing ever longer beginnings of the text, so it knows every spelling that TOML has
    (dotted keys, inline tables, quotes). Quadratic, and used for error messages only.

    Args:
        text: Valid TOML.
        path: The key, from the top: ``("targets", "pc", "order")``.

    Returns:
        The line, or that of the closest table above if the key itself is not there.
    """
    while path:
        line = _first_line(text, path)
        if line is not None:
            return line
        path = path[:-1]
    return 1


def _first_line(text: str, path: tuple[str, ...]) -> int | None:
    lines = text.splitlines()
    begin = 1  # of the statement being read: those before it parse
    for count in range(1, len(lines) + 1):
        try:
            parsed = tomllib.loads("\n".join(lines[:count]) + "\n")
        except tomllib.TOMLDecodeError:
            continue
        if _holds(parsed, path):
            return begin
        begin = count + 1
    return None


def _holds(parsed: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    here: Any = parsed
    for key in path:
        if not isinstance(here, Mapping) or key not in here:
            return False
        here = here[key]
    return True
