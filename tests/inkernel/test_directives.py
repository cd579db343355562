"""Lines for the relay do nothing in the kernel and change nothing else of the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from relay_kernel.inkernel.directives import blank_directives

if TYPE_CHECKING:
    from tests.inkernel.rig import Pair

CASES = {
    "%relay\n": "pass\n",
    "%relay pc": "pass\n",
    "%relay?\n": "pass\n",
    "x = 1\nif x:\n    %relay wait\ny = 2\n": "x = 1\nif x:\n    pass\ny = 2\n",
    "%%relay pc\nx = 1\n": "\nx = 1\n",
    "%%relay once\n": "\n",
    "%relay a \\\n  b\nx = 1\n": "pass\n\nx = 1\n",
    "s = '''\n%relay pc\n'''\n": "s = '''\n%relay pc\n'''\n",
    "%%relay pc\ns = '''\n%relay pc\n'''\n": "\ns = '''\n%relay pc\n'''\n",
    "x = 5\ny = x\\\n%relay\n": "x = 5\ny = x\\\n%relay\n",
    "%%writefile a\n%relay\n": "%%writefile a\n%relay\n",
    "%relays = 1\n": "%relays = 1\n",
    "# %relay pc\n": "# %relay pc\n",
}


def lines(text: str) -> list[str]:
    """Return the lines of a cell as IPython hands them over."""
    return (text if text.endswith("\n") else text + "\n").splitlines(keepends=True)


@pytest.mark.parametrize("cell", CASES)
def test_what_is_left_of_a_cell(cell: str) -> None:
    """A cell would fail on a magic that no kernel has, or a string would lose a line."""
    assert "".join(blank_directives(lines(cell))) == CASES[cell]


def test_a_magic_below_stays_the_first_line() -> None:
    """``%%relay`` above ``%%time`` would break the latter."""
    assert blank_directives(lines("%%relay pc\n%%time\nx = 1")) == ["%%time\n", "x = 1\n"]


def test_unfinished_cells_are_still_seen_as_such() -> None:
    """A console would run a loop before its body is typed."""
    manager = TransformerManager()
    manager.cleanup_transforms.append(blank_directives)
    assert manager.check_complete("%relay pc\nfor i in x:")[0] == "incomplete"
    assert manager.check_complete("%%relay pc")[0] == "incomplete"
    assert manager.check_complete("%%relay pc\nx = 1\n\n")[0] == "complete"
    assert manager.check_complete("%relay pc")[0] == "complete"


def test_the_history_keeps_what_was_typed(pair: Pair) -> None:
    """``%history`` would show ``pass``."""
    pair.b.check("%relay pc\nx = 1")
    pair.b.check("%%relay once\ny = 2")
    pair.b.check("raw = get_ipython().history_manager.input_hist_raw\nassert x + y == 3")
    pair.b.check("assert raw[1] == '%relay pc\\nx = 1' and raw[2] == '%%relay once\\ny = 2'")
