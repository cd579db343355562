"""``%relay rebuild NAME``: runs again the cells that made a value which could not come along.

Only ever on request: what a cell does to the world outside, it does a second time.
"""

from __future__ import annotations

import ast
import symtable
import sys

from .tombstone import LeftBehind


class RebuildError(Exception):
    """A value could not be made again; the text says why."""


def register(shell):
    """Give the shell the magic ``%relay``, of which it runs only ``rebuild`` itself."""

    def relay(line):
        """Relay: where cells run, and what is safe. `%relay ?` lists what it can do."""
        words = line.split("#")[0].split()
        if words[:1] != ["rebuild"] or len(words) < 2:
            raise RebuildError("write it as a line of its own: `%relay rebuild NAME`")
        rebuild(shell, words[1:])

    shell.register_magic_function(relay, "line", "relay")


def rebuild(shell, names):
    """Run again the cells that made ``names``.

    Raises:
        RebuildError: no cell made one of them, or a cell failed.
    """
    inputs = list(shell.history_manager.input_hist_parsed)
    # The last one is the cell that asks for this.
    numbers = cells_of(names, inputs[:-1], lambda name: is_missing(shell.user_ns, name))
    called = f"cell {numbers[0]} runs" if len(numbers) == 1 else f"cells {_listed(numbers)} run"
    sys.stderr.write(f"[relay] {called} again to make {', '.join(names)}\n")
    for number in numbers:
        result = shell.run_cell(inputs[number], store_history=False)
        if not result.success:
            raise RebuildError(f"cell {number} failed, so {', '.join(names)} cannot be made again")


def is_missing(namespace, name):
    """Return whether ``name`` has no value here, or only a tombstone."""
    return name not in namespace or type(namespace[name]) is LeftBehind


def cells_of(names, inputs, missing):
    """Return the numbers of the cells to run again, in order.

    For each name the last cell that bound it, and before that those of the names which this cell
    uses and which are missing as well.

    Args:
        names: what is wanted.
        inputs: source of each cell by its number.
        missing: says whether a name is to be made too, when a cell needs it.

    Raises:
        RebuildError: no cell binds one of the names.
    """
    cells, chosen = {}, set()
    waiting = [(name, len(inputs)) for name in names]
    while waiting:
        name, before = waiting.pop()
        number = _last_binding(name, inputs, before, cells)
        if number is None:
            if before == len(inputs):
                raise RebuildError(f"no cell of this notebook made `{name}`")
            continue
        if number not in chosen:
            chosen.add(number)
            uses = cells[number].uses
            waiting += [(used, number) for used in uses if used in names or missing(used)]
    return sorted(chosen)


def _last_binding(name, inputs, before, cells):
    for number in range(before - 1, 0, -1):
        if name not in inputs[number]:
            continue
        if number not in cells:
            cells[number] = _Cell(inputs[number])
        if name in cells[number].binds:
            return number
    return None


class _Cell:
    """Which global names a cell binds, and which it uses that it did not bind before."""

    def __init__(self, source):
        self.binds, self.uses = set(), set()
        try:
            for statement in ast.parse(source).body:
                binds, uses = _names(ast.unparse(statement))
                self.uses |= uses - self.binds
                self.binds |= binds
        except (SyntaxError, ValueError):
            # It did not run either.
            return


def _names(statement):
    """Return the global names that one statement binds, and those that it uses."""
    binds, uses = set(), set()
    tables = [symtable.symtable(statement, "<cell>", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if table.get_type() != "module" and not symbol.is_global():
                continue
            if symbol.is_assigned() or symbol.is_imported():
                binds.add(symbol.get_name())
            if symbol.is_referenced():
                uses.add(symbol.get_name())
    if isinstance(ast.parse(statement).body[0], ast.AugAssign):
        uses |= binds
    return binds, uses


def _listed(numbers):
    return ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
