"""What a cell says to R itself: ``%relay …`` lines and a first line ``%%relay …``."""

from __future__ import annotations

from dataclasses import dataclass, field

LINE = "%relay"
CELL = "%%relay"


@dataclass(frozen=True)
class Directives:
    """What one cell asks of R. The kernel itself sees such lines as nothing to do."""

    target: str | None = None
    """Of ``%%relay TARGET``."""
    lines: tuple[tuple[str, ...], ...] = field(default=())
    """The words after each ``%relay``; ``("?",)`` for ``%relay?``."""


def parse(code: str) -> Directives:
    """Find the directives of a cell. Lines inside a string are taken for directives as well."""
    if LINE not in code:
        return Directives()
    rows = code.splitlines()
    target = None
    first = rows[0].split("#")[0].split() if rows else []
    if first and first[0] == CELL:
        target = first[1] if len(first) > 1 else ""
        rows = rows[1:]
    lines = []
    for row in rows:
        words = row.split("#")[0].split()
        if words and words[0] == LINE:
            lines.append(tuple(words[1:]))
        elif words in (["%relay?"], ["?%relay"], ["%relay??"]):
            lines.append(("?",))
    return Directives(target, tuple(lines))
