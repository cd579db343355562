"""A value that stayed behind is made again by the cells that made it, when the user says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay_kernel.inkernel.again import cells_of

if TYPE_CHECKING:
    from tests.inkernel.rig import Pair

CONNECTION = "conn = sqlite3.connect(':memory:'); conn.execute('create table t(x)')"


def test_the_cells_that_made_it_run_again(pair: Pair) -> None:
    pair.cell("import sqlite3; runs = []")
    pair.cell("runs.append('unrelated')")
    pair.cell(f"{CONNECTION}; runs.append('made')")
    pair.cell("cursor = conn.cursor()")
    assert pair.a.run("cursor.execute('select 1')")["status"] == "error"
    pair.a.check("%relay rebuild cursor")
    assert pair.a.shown() == "[relay] cells 3 and 4 run again to make cursor\n"
    pair.a.check("assert cursor.execute('select 7').fetchone() == (7,)")
    pair.a.check("assert runs == ['unrelated', 'made', 'made']")


def test_what_is_here_is_not_made_again(pair: Pair) -> None:
    pair.cell("import sqlite3; path = [':memory:']")
    pair.cell("path.append(1)")
    pair.cell("conn = sqlite3.connect(path[0])")
    pair.a.check("%relay rebuild conn")
    pair.a.check("conn.execute('select 1'); assert path == [':memory:', 1]")


def test_it_is_part_of_its_cell(pair: Pair) -> None:
    pair.cell("import sqlite3")
    pair.cell(CONNECTION)
    pair.a.check("if True:\n    %relay rebuild conn\nfound = conn.execute('select 2').fetchone()")
    pair.a.check("assert found == (2,)")


def test_a_cell_that_fails_again_ends_it(pair: Pair) -> None:
    pair.cell("turns = []")
    pair.cell("assert not turns; turns.append(1); v = (i for i in turns)")
    reply = pair.a.run("%relay rebuild v\nnever = 1")
    assert reply["ename"] == "RebuildError"
    assert reply["evalue"] == "cell 2 failed, so v cannot be made again"
    assert pair.a.run("never")["status"] == "error"


def test_a_name_that_no_cell_made(pair: Pair) -> None:
    pair.cell("globals()['odd'] = (i for i in range(3))")
    reply = pair.a.run("%relay rebuild odd")
    assert reply["evalue"] == "no cell of this notebook made `odd`"


def test_a_tombstone_says_how(pair: Pair) -> None:
    pair.cell("v = (i for i in range(3))")
    assert "`%relay rebuild v` runs the cells again that made it" in pair.a.run("v()")["evalue"]


CHOICES = {
    "the last cell that bound it": (["", "x = 1", "x = 2", "y = x"], ["x"], [2]),
    "and the one before, if that adds to it": (["", "x = [1]", "x += [2]"], ["x"], [1, 2]),
    "and those of what it uses and lacks": (["", "a = 1", "b = a", "c = b"], ["c"], [1, 2, 3]),
    "a function": (["", "import os", "def f(): return os"], ["f"], [1, 2]),
    "a global of a function": (["", "def f():\n global g\n g = 1"], ["g"], [1]),
    "a loop, a walrus, an import as": (
        ["", "for i in []: pass", "(w := 1)", "import os.path as p"],
        ["i", "w", "p"],
        [1, 2, 3],
    ),
    "not a cell that was no Python": (["", "x = 1", "x = ="], ["x"], [1]),
    "not what a cell binds before it uses it": (["", "t = 1", "t = 2; x = t"], ["x"], [2]),
    "not the local names of a function": (["", "def f():\n x = 1", "x = 2"], ["x"], [2]),
}


@pytest.mark.parametrize("name", CHOICES)
def test_which_cells(name: str) -> None:
    inputs, names, cells = CHOICES[name]
    assert cells_of(names, inputs, lambda _: True) == cells
