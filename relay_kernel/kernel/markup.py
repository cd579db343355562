"""HTML for what R says in a cell. It names no colours: a front end's theme has them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: JupyterLab aligns the cells of a table to the right, as for numbers.
_LEFT = 'style="text-align: left"'


def table(label: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column names the rows. Nothing where there are no rows."""
    body = "".join(_row(row) for row in rows)
    if not body:
        return ""
    titles = "".join(f'<th scope="col" {_LEFT}>{escape(title)}</th>' for title in head)
    return (
        f'<table aria-label="{escape(label)}"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _row(row: Sequence[str]) -> str:
    name, *rest = row
    cells = "".join(f"<td {_LEFT}>{escape(cell)}</td>" for cell in rest)
    return f'<tr><th scope="row" {_LEFT}>{escape(name)}</th>{cells}</tr>'


def paragraphs(lines: Iterable[str]) -> str:
    """Each line as a paragraph."""
    return "".join(f"<p>{escape(line)}</p>" for line in lines)
