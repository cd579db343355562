"""What a cell says to R itself: ``%relay …`` lines and a first line ``%%relay [TARGET] [once]``."""

from __future__ import annotations

from dataclasses import dataclass, field

LINE = "%relay"
CELL = "%%relay"


@dataclass(frozen=True)
class Directives:
    """What one cell asks of R. The kernel itself sees such lines as nothing to do."""

    target: str | None = None
    """Of ``%%relay TARGET``; empty where the line says neither that nor ``once``."""
    once: bool = False
    """Of ``%%relay once``: never run this cell a second time."""
    lines: tuple[tuple[str, ...], ...] = field(default=())
    """The words after each ``%relay``; ``("?",)`` for ``%relay?``."""

    @property
    def restore(self) -> tuple[str, ...] | None:
        """What follows ``%relay restore``, where that asks for a state and not for a list."""
        for words in self.lines:
            if words[:1] == ("restore",) and words[1:] != ("list",):
                return words[1:]
        return None


def parse(code: str) -> Directives:
    """Find the directives of a cell. Lines inside a string are taken for directives as well."""
    if LINE not in code:
        return Directives()
    # As IPython does, before it looks for a cell magic.
    rows = code.lstrip().splitlines()
    target, once = None, False
    first = rows[0].split("#")[0].split() if rows else []
    if first and first[0] == CELL:
        once = "once" in first
        rest = [word for word in first[1:] if word != "once"]
        target = None if once and not rest else " ".join(rest)
        rows = rows[1:]
    lines = []
    for row in rows:
        words = row.split("#")[0].split()
        if words and words[0] == LINE:
            lines.append(tuple(words[1:]))
        elif words in (["%relay?"], ["?%relay"], ["%relay??"]):
            lines.append(("?",))
    return Directives(target, once, tuple(lines))
