"""A recipe makes again what could not travel: when a cell needs it, and not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.inkernel.rig import Pair

CONNECT = """
import relay_kernel, sqlite3, threading
made = []
@relay_kernel.recipe("conn")
def reopen():
    print("made"); made.append(1)
    return sqlite3.connect(":memory:")
conn = sqlite3.connect(":memory:"); ask = lambda: conn.execute("select 7").fetchone()
"""


def test_the_first_cell_that_needs_it_has_it(pair: Pair) -> None:
    """A user would have to open each connection by hand after each switch."""
    pair.cell(CONNECT)
    assert pair.problems == {}
    pair.a.check("assert made == []")
    pair.a.check("rows = conn.execute('select 1')")
    assert pair.a.shown() == ""
    pair.a.check("assert made == [1]")
    pair.a.check("conn.execute('select 1'); assert made == [1]")


@pytest.mark.parametrize(
    "use",
    ["ask()", "box.go()", "%timeit -n1 -r1 ask()", "later()", "list(map(ask_one, [1]))", "p()"],
)
def test_it_is_found_through_the_users_functions(pair: Pair, use: str) -> None:
    """A function that uses the connection would fail where the connection itself works."""
    pair.cell(
        CONNECT + "import functools\nclass Box:\n    def go(self): return ask()\nbox = Box()\n"
        "def wrap(f):\n    @functools.wraps(f)\n    def inner(*a): return f(*a)\n    return inner\n"
        "later = wrap(ask); ask_one = lambda _: ask(); p = functools.partial(box.go)"
    )
    pair.a.check(use)
    pair.a.check("assert made == [1]")


def test_other_cells_do_not_run_it(pair: Pair) -> None:
    """A connection would be opened by a cell that has nothing to do with it."""
    pair.cell(CONNECT + "class T: pass\nt = T(); t.conn = 1")
    for code in ("1 + 1", "'conn'", "t.conn  # conn", "%time 2"):
        pair.a.check(code)
    pair.a.check("assert made == []")


def test_what_it_raises_is_said(pair: Pair) -> None:
    """A user would look for the mistake in the cell and not in the recipe."""
    pair.cell(
        "import relay_kernel\ntries = []\n@relay_kernel.recipe('v')\n"
        "def again(): tries.append(1); raise ValueError('no\\nserver')\nv = (i for i in [1, 2])"
    )
    for _ in range(2):
        error = pair.a.run("next(v)")["evalue"]
        assert (
            "suspended in the middle of its code; its recipe raised ValueError: no server" in error
        )
    pair.a.check("assert tries == [1], 'once, since it may have done something'")
    pair.back()
    pair.b.check("assert next(v) == 1 and tries == [1], 'the real one is here'")


def test_recipes_travel_both_ways(pair: Pair) -> None:
    """A recipe would be forgotten where it is needed next."""
    pair.cell(CONNECT)
    pair.a.check("ask()")
    pair.back()
    assert pair.problems == {}
    pair.b.check("ask(); assert made == [1, 1]")
    manifest = pair.cell("x = 1")
    assert ["s", "recipe of conn"] in [r for wire in manifest["components"] for r in wire["roots"]]
    pair.a.check("ask(); assert made == [1, 1, 1] and reopen.__name__ == 'reopen'")


def test_recipes_may_need_each_other(pair: Pair) -> None:
    """A cursor would be made of a connection that is not there."""
    pair.cell(
        CONNECT + "cursor = conn.cursor()\n@relay_kernel.recipe('cursor')\n"
        "def open_cursor(): return conn.cursor()"
    )
    pair.a.check("assert cursor.execute('select 2').fetchone() == (2,) and made == [1]")
    pair.a.check("assert cursor.connection is conn")


def test_a_wrong_use_is_said_at_once(pair: Pair) -> None:
    """A mistake in a recipe would show only after the PC is gone."""
    pair.b.run("import relay_kernel")
    assert "not the name of a variable" in pair.b.run("relay_kernel.recipe('a b')(int)")["evalue"]
    assert "must be a function" in pair.b.run("relay_kernel.recipe('a')(3)")["evalue"]


HIDE = """
class _Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "relay_kernel": raise ModuleNotFoundError(name)
sys = __import__("sys"); sys.meta_path.insert(0, _Hide()); sys.modules.pop("relay_kernel", None)
_recipe = sys.modules["_relay_inkernel.recipe"]
_recipe.offer(sys.modules["_relay_inkernel"].register_recipe)
"""


def test_it_needs_no_installation(pair: Pair) -> None:
    """Recipes would fail in every environment of the user that lacks relay-kernel."""
    pair.b.check(HIDE)
    pair.b.check("import relay_kernel; assert not hasattr(relay_kernel, '__path__')")
    pair.b.check("del _Hide, _recipe; sys.meta_path.pop(0)")
    pair.cell(CONNECT)
    assert pair.problems == {}
    pair.a.check("ask(); assert made == [1]")
    pair.b.run("sys.modules.pop('relay_kernel')")


def test_without_a_relay_kernel_it_does_nothing() -> None:
    """A notebook with a recipe would not run in an ordinary kernel."""
    import relay_kernel

    @relay_kernel.recipe("x")
    def make() -> int:
        raise AssertionError

    assert make.__name__ == "make"
