"""Calls that set libraries up are made in other kernels as well: those, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.inkernel.rig import Pair

#: A library that notes what it is called with; each process has its own notes.
LIBRARY = """
import time
notes = []
def set_level(*given, **named): notes.append(('set', given, named))
def set_slowly(seconds): time.sleep(seconds)
def set_here(path): open(path).close()
def set_random_seed(seed): notes.append('seed')
def register(*given):
    notes.append(('register', given))
    return given[0] if given else None
def run(*given): notes.append('run')
class Style:
    def __init__(self, name): self.name = name
    def __repr__(self): return self.name
class Options:
    def configure(self, **named): notes.append(('configure', named))
options = Options()
"""


@pytest.fixture
def pair(pair: Pair, tmp_path: Path) -> Iterator[Pair]:
    """Two kernels with an installed library ``rk_noting`` that neither has imported."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "rk_noting.py").write_text(LIBRARY)
    forget = "import sys; sys.modules.pop('rk_noting', None); sys.path[:] = [p for p in sys.path "
    for kernel in (pair.a, pair.b):
        kernel.check(f"{forget}if 'site-packages' in p or not p.endswith('rk')]")
        kernel.check(f"import sys; sys.path.append({str(folder)!r})")
    yield pair
    for kernel in (pair.a, pair.b):
        kernel.check(
            f"import sys; sys.modules.pop('rk_noting', None); sys.path.remove({str(folder)!r})"
        )


def notes(pair: Pair, *cells: str) -> str:
    """Run cells on ``b``, with the state brought over after each; return what ``a`` was told."""
    for cell in cells:
        pair.cell(cell)
    pair.a.run("import rk_noting; print(rk_noting.notes)")
    return pair.a.shown().strip()


def test_they_are_made_once_with_the_same_arguments(pair: Pair) -> None:
    """The next cell would go by a library's defaults."""
    made = notes(
        pair,
        "import rk_noting as lib\nfrom rk_noting import Style, options\nbits = 1 << 4",
        "lib.set_level(bits, style=Style('dark'), wide=[1, -2.5])\noptions.configure(strict=True)",
        "lib.set_level(7)",
        "x = 1",
    )
    expected = [
        "('set', (16,), {'style': dark, 'wide': [1, -2.5]})",
        "('configure', {'strict': True})",
        "('set', (7,), {})",
    ]
    assert made == f"[{', '.join(expected)}]"


def test_code_of_the_notebook_is_registered_and_no_name_with_a_service(pair: Pair) -> None:
    """A model would be registered twice, or a class be unknown."""
    made = notes(
        pair,
        "import rk_noting as lib\nclass Mine: pass",
        "lib.register('models:/mine', 3)\nlib.register('mine', Mine)",
        "@lib.register\nclass Other: pass",
    )
    assert made.count("register") == 2
    assert "Mine'" in made
    assert "Other'" in made
    assert "models:/mine" not in made


@pytest.mark.parametrize(
    "cell",
    [
        "lib.run(1)",
        "lib.set_random_seed(1)",
        "result = lib.set_level(1)",
        "def later(): lib.set_level(1)\nlater()",
        "data = {'x': 1}\nlib.set_level(data)",
        "def mine(): return 1\nlib.set_level(mine())",
        "class Own:\n    def set_level(self, value): pass\nOwn().set_level(1); Own.set_level(0, 1)",
        "lib.set_level(1); raise ValueError",
        "import os; os.set_blocking(0, True)",
    ],
)
def test_others_are_not(pair: Pair, cell: str) -> None:
    """What is not for setting up would happen twice."""
    pair.cell("import rk_noting as lib")
    pair.b.run(cell)
    pair.a.apply(pair.b.capture())
    pair.a.run("print(lib.notes)")
    assert pair.a.shown().strip() == "[]"


BUDGET = (
    "_b = get_ipython().kernel.shell_handlers['relay_capture_request'].__self__.state.budget\n"
    "_b.seconds = {seconds}; del _b"
)


def test_one_that_waits_or_fails_is_told_of_once(pair: Pair, tmp_path: Path) -> None:
    """A notebook would wait for a service that only the PC can reach, and nobody would know."""
    pair.a.check(BUDGET.format(seconds=0.5))
    path = tmp_path / "here"
    path.touch()
    pair.b.run(
        f"import rk_noting as lib\nlib.set_slowly(1.5 + 1)\nlib.set_here({str(path)!r})\n"
        "lib.set_level(2)"
    )
    path.unlink()
    assert pair.a.apply(pair.b.capture()) == {
        "set-up call lib.set_slowly(1.5 + 1)": "it took longer than 0.5 s",
        f"set-up call lib.set_here({str(path)!r})": "it raised FileNotFoundError: "
        f"[Errno 2] No such file or directory: {str(path)!r}",
    }
    pair.a.check("assert lib.notes == [('set', (2,), {})]")
    pair.cell("x = 1")
    assert pair.problems == {}
    pair.a.check(BUDGET.format(seconds=10))
