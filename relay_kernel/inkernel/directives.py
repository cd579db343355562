"""Makes ``%relay`` lines harmless in the kernel: the process outside has answered them already.

But for ``%relay rebuild``, which is the kernel's own to do: see ``again``.
"""

from __future__ import annotations

import re

from IPython.core.inputtransformer2 import make_tokens_by_line

_LINE = re.compile(r"([ \t]*)%relay(?![\w.])(?!\s+rebuild\s)[^\n]*(\n?)")
_CELL = re.compile(r"%%relay(?![\w.])")


def blank_directives(lines):
    """Return ``lines`` of a cell with each directive replaced by nothing or by ``pass``.

    Line numbers stay as they were, but for one case: a cell magic must be the first line, so
    when one follows ``%%relay``, that line is dropped.
    """
    if not any("%relay" in line for line in lines):
        return lines
    if lines and _CELL.match(lines[0]):
        under_magic = len(lines) > 1 and lines[1].startswith("%%")
        lines = lines[1:] if under_magic else ["\n", *lines[1:]]
    if lines and lines[0].startswith("%%"):
        return lines
    return _without_line_directives(lines)


# IPython leaves out what has side effects when it tries whether a cell is complete. So it takes
# ``%%relay`` as any magic of a cell: a console would else run it before its body is typed.
blank_directives.has_side_effects = True


def _without_line_directives(lines):
    lines = list(lines)
    for number in sorted(_starts(lines)):
        found = _LINE.match(lines[number])
        if found is not None:
            _blank_continuation(lines, number)
            lines[number] = found.group(1) + "pass" + found.group(2)
    return lines


def _blank_continuation(lines, number):
    """Blank the lines that a directive goes on over with backslashes."""
    goes_on = lines[number].endswith("\\\n")
    while goes_on and number + 1 < len(lines):
        number += 1
        goes_on = lines[number].endswith("\\\n")
        lines[number] = "\n"


def _starts(lines):
    """Return the numbers (from 0) of the lines that begin a statement with ``%``."""
    starts = set()
    for tokens in make_tokens_by_line(lines):
        for token in tokens:
            if not token.string.strip() or token.string.startswith("#"):
                continue
            if token.string == "%":
                starts.add(token.start[0] - 1)
            break
    return starts
