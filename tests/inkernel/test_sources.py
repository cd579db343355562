"""Modules of the user's own, on a machine that does not have their files."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair


def write(pair: Pair, name: str, source: str) -> Path:
    """Write a file into the folder of ``b``, where ``a`` does not look."""
    path = pair.store.parent / "b" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(dedent(source))
    return path


def test_a_module_whose_file_is_only_there_is_here_all_the_same(pair: Pair) -> None:
    """Trap 14: what a module holds is state, and must be the object that the notebook has."""
    write(pair, "only_there.py", "REG = []\ndef register(x): REG.append(x)\n")
    pair.cell("import only_there; mine = [1]; only_there.register(mine)")
    assert pair.problems == {}
    pair.a.check("only_there.register(2); assert only_there.REG[0] is mine")
    pair.a.check("import inspect; assert 'append' in inspect.getsource(only_there.register)")
    pair.a.check("mine.append(3)")
    pair.back()
    pair.b.check("assert only_there.REG == [[1, 3], 2] and only_there.REG[0] is mine")


def test_instances_and_functions_of_such_a_module_travel_by_name(pair: Pair) -> None:
    write(pair, "shapes_there.py", "class Square:\n    side = 2\ndef area(s): return s.side ** 2\n")
    pair.cell("from shapes_there import Square, area; s = Square(); s.side = 3")
    pair.a.check("assert area(s) == 9 and type(s) is Square")
    assert pair.problems == {}


def test_packages_with_and_without_a_file_of_their_own(pair: Pair) -> None:
    write(pair, "kit_there/__init__.py", "from .inner import value\n")
    write(pair, "kit_there/inner.py", "value = 5\n")
    write(pair, "bare_there/leaf.py", "from . import twig\n")
    write(pair, "bare_there/twig.py", "green = True\n")
    pair.cell("import kit_there; import bare_there.leaf as leaf")
    assert pair.problems == {}
    pair.a.check("assert kit_there.inner.value == 5 and leaf.twig.green")


def test_a_module_that_was_reloaded_is_new_here_too(pair: Pair) -> None:
    path = write(pair, "moves_there.py", "def f(): return 1\n")
    pair.cell("import moves_there; f = moves_there.f")
    pair.a.check("assert f() == 1; before = moves_there")
    path.write_text("def f(): return 22\n")
    pair.b.check("import importlib; importlib.reload(moves_there)")
    pair.cell("f = moves_there.f")
    pair.a.check("assert f() == 22 and moves_there.f() == 22")
    assert pair.problems == {}


def test_a_file_that_is_here_comes_first(pair: Pair) -> None:
    write(pair, "both_there.py", "where = ['b']\n")
    (pair.store.parent / "a" / "both_there.py").write_text("where = ['a']\ndef here(): return 1\n")
    pair.b.check("import both_there")
    pair.a.apply(pair.b.capture())
    pair.a.check("import both_there; assert both_there.here() == 1")


def test_a_module_that_cannot_run_here_costs_only_itself(pair: Pair) -> None:
    source = "import os\nif os.getcwd().endswith('a'): raise OSError('no such device')\nx = [1]\n"
    write(pair, "device_there.py", source)
    pair.cell("import device_there; good = 1; device_there.x.append(2)")
    assert "no such device" in str(pair.problems)
    pair.a.check("assert good == 1")
