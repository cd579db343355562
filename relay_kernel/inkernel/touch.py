"""What a cell is about to use: what waits for that is made ready before the cell runs."""

from __future__ import annotations

from . import late, parked, recipe
from .mentions import names_of


def before_cell(state, code):
    """Make ready what a cell may use, and note what it may replace. It never raises.

    Args:
        state: the kernel.
        code: of the cell, as it was typed.
    """
    state.registered.before_cell(code)
    if state.opened:
        late.retry(state, late.exchanged(state))
    on_disk, failed = parked.waiting(state), late.waiting(state)
    if not (on_disk or failed or recipe.waiting(state)):
        return
    names = names_of(code, state.user_ns)
    found = {id(on_disk[name]): on_disk[name] for name in on_disk.keys() & names}
    if found:
        parked.load(state, list(found.values()))
    late.retry(state, [record for record in failed if late.is_named(record, names)])
    recipe.make(state, names & recipe.waiting(state))
