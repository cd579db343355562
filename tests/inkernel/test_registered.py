"""What the user gave to IPython to hold travels as the user's variables do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair


def test_magics_travel_and_share_with_variables(pair: Pair) -> None:
    """``%note`` would be unknown on the server, or write to another list."""
    pair.cell(
        "from IPython.core.magic import register_line_magic, register_cell_magic\nnotes = []\n"
        "def make(into):\n    def note(line): into.append(line)\n    return note\n"
        "register_line_magic('note')(make(notes))\n"
        "@register_cell_magic\ndef upper(line, cell): return cell.upper()\n%alias_magic t timeit"
    )
    assert pair.problems == {}
    pair.a.run("%note one")
    pair.a.check("assert notes == ['one']")
    pair.a.run("%%upper\nabc")
    assert pair.a.shown() == "'ABC\\n'"
    pair.a.check("assert get_ipython().find_line_magic('t').magic_name == 'timeit'")
    pair.a.check("del get_ipython().magics_manager.magics['cell']['upper']")
    pair.back()
    pair.b.run("%note two")
    pair.b.check(
        "assert notes == ['one', 'two'] and get_ipython().find_cell_magic('upper') is None"
    )


def test_a_class_of_magics_travels(pair: Pair) -> None:
    """Magics with a state would lose it."""
    pair.cell(
        "from IPython.core.magic import Magics, magics_class, line_magic\n@magics_class\n"
        "class Counter(Magics):\n    count = 0\n    @line_magic\n    def rk_count(self, line):\n"
        "        self.count += 1; return self.count\n"
        "get_ipython().register_magics(Counter)\n_ = get_ipython().run_line_magic('rk_count', '')"
    )
    assert pair.problems == {}
    pair.a.check("assert get_ipython().run_line_magic('rk_count', '') == 2")
    pair.back()
    pair.b.check("assert get_ipython().run_line_magic('rk_count', '') == 3")


def test_a_magic_that_cannot_travel_is_told_by_name_and_kept(pair: Pair) -> None:
    """One magic with a lock would take the others, or be gone for good."""
    manifest = pair.cell(
        "import threading\ndef make():\n    lock = threading.Lock(); lock.acquire()\n"
        "    def locked(line): return str(lock.locked())\n    return locked\n"
        "get_ipython().register_magic_function(make(), 'line', 'locked')\n"
        "get_ipython().register_magic_function(lambda line: 'free', 'line', 'free')"
    )
    assert "lock" in manifest["left_behind"]["magic %locked"]["reason"]
    pair.a.check("assert get_ipython().run_line_magic('free', '') == 'free'")
    pair.a.check("assert get_ipython().find_line_magic('locked') is None")
    pair.a.run("x = 1")
    assert "magic %locked" in pair.back()["left_behind"]
    pair.b.check("assert get_ipython().run_line_magic('locked', '') == 'True'")


def test_callbacks_travel_in_their_order(pair: Pair) -> None:
    """What the user has done after each cell would not be done any more."""
    pair.cell(
        "seen = []\nclass Watch:\n    def after(self, result): seen.append('method')\n"
        "watch = Watch()\n"
        "def after(result): seen.append('function')\nip = get_ipython()\n"
        "for each in (after, watch.after): ip.events.register('post_run_cell', each)"
    )
    assert pair.problems == {}
    pair.a.check("seen.clear()")
    pair.a.check("assert seen == ['function', 'method'], seen")
    pair.a.check("assert ip.events.callbacks['post_run_cell'][1].__self__ is watch")
    pair.a.check("ip.events.unregister('post_run_cell', after)")
    pair.back()
    pair.b.check("seen.clear()")
    pair.b.check("assert seen == ['method'], seen")


def test_transformers_travel(pair: Pair) -> None:
    """Cells would mean something else: the user changes their text and their syntax tree."""
    pair.cell(
        "import ast\nclass Negate(ast.NodeTransformer):\n"
        "    def visit_Constant(self, node):\n"
        "        return ast.copy_location(ast.Constant(-node.value), node)"
        " if type(node.value) is int else node\n"
        "def dollars(lines): return [line.replace('$$', '40') for line in lines]\n"
        "get_ipython().input_transformers_cleanup.append(dollars)\n"
        "get_ipython().ast_transformers.append(Negate())"
    )
    assert pair.problems == {}
    pair.a.run("$$")
    assert pair.a.shown() == "-40"
    pair.a.run("get_ipython().ast_transformers.clear()")
    pair.back()
    pair.b.run("$$")
    assert pair.b.shown() == "40"


def test_formatters_travel(pair: Pair) -> None:
    """Values would look different after a switch."""
    pair.cell(
        "class P: pass\np = P()\nplain = get_ipython().display_formatter.formatters['text/plain']\n"
        "plain.for_type(P, lambda p, printer, cycle: printer.text('a P'))\n"
        "plain.for_type(int, lambda n, printer, cycle: printer.text(f'int {n}'))"
    )
    assert pair.problems == {}
    pair.a.run("p")
    assert pair.a.shown() == "a P"
    pair.a.run("3")
    assert pair.a.shown() == "int 3"
    pair.a.run("_ = get_ipython().display_formatter.formatters['text/plain'].pop(int)")
    pair.back()
    pair.b.run("3")
    assert pair.b.shown() == "3"


def test_filters_of_warnings_travel_also_with_a_class_of_the_notebook(pair: Pair) -> None:
    """Warnings that the user had turned off would come back, or errors would be none."""
    look = "print([(f[0], f[2].__name__) for f in warnings.filters[:2]])"
    pair.b.run(look.replace("warnings", "__import__('warnings')"))
    before = pair.b.shown()
    pair.cell(
        "import warnings\nclass Mine(UserWarning): pass\nwarnings.simplefilter('error', Mine)\n"
        "warnings.filterwarnings('ignore', message='never mind.*', category=RuntimeWarning)"
    )
    assert pair.problems == {}
    pair.a.run(look)
    assert pair.a.shown() == "[('ignore', 'RuntimeWarning'), ('error', 'Mine')]\n"
    assert pair.a.run("warnings.warn('x', Mine)")["ename"] == "Mine"
    pair.a.run("warnings.warn('never mind this', RuntimeWarning)")
    assert pair.a.shown() == ""
    pair.a.run("del warnings.filters[:2]")
    pair.back()
    pair.b.run(look)
    assert pair.b.shown() == before


def test_handlers_of_loggers_travel(pair: Pair) -> None:
    """A notebook that called ``logging.basicConfig`` would fall silent."""
    pair.cell(
        "import logging\nlogging.basicConfig(level='INFO', format='%(levelname)s-%(message)s')\n"
        "class Keep(logging.Handler):\n    kept = []\n"
        "    def emit(self, record): Keep.kept.append(record.getMessage())\n"
        "h = Keep(); logging.getLogger('rk.h').addHandler(h)"
    )
    assert pair.problems == {}
    pair.a.run("logging.getLogger('rk.h').info('hello')")
    assert pair.a.shown() == "INFO-hello\n"
    pair.a.check("assert Keep.kept == ['hello'] and logging.getLogger('rk.h').handlers == [h]")
    pair.a.run("logging.root.handlers.clear(); logging.root.setLevel('WARNING')")
    pair.back()
    pair.b.check("assert logging.root.handlers == [] and Keep.kept == ['hello']")


def test_a_log_file_goes_on_once_it_is_there(pair: Pair, tmp_path: Path) -> None:
    """A notebook would log to nowhere, since variables come sooner than files."""
    for name, kernel in (("a", pair.a), ("b", pair.b)):
        (tmp_path / name).mkdir()
        home = str(tmp_path / name)
        kernel.check(f"__import__('os').environ.__setitem__('HOME', {home!r})")
    pair.cell(
        "import logging, pathlib\nlog = logging.getLogger('rk.file')\n"
        "h = logging.FileHandler(pathlib.Path.home() / 'x.log'); log.addHandler(h)\n"
        "log.warning('one')"
    )
    there = tmp_path / "a" / "x.log"
    assert "x.log cannot be opened here" in pair.problems["log handlers of rk.file"]
    assert not there.exists()
    there.write_bytes((tmp_path / "b" / "x.log").read_bytes())
    pair.a.check("log.warning('two')")
    assert there.read_text() == "one\ntwo\n"
    pair.a.check("assert log.handlers == [h] and h.baseFilename.endswith('/a/x.log')")
    (tmp_path / "b" / "x.log").write_bytes(there.read_bytes())
    pair.back()
    pair.b.check("log.warning('three')")
    assert (tmp_path / "b" / "x.log").read_text() == "one\ntwo\nthree\n"
    pair.b.run("log.handlers.clear()")


def test_nothing_registered_by_libraries_is_taken_along(pair: Pair) -> None:
    """Copies of the insides of libraries would be registered beside the real ones."""
    manifest = pair.cell("%load_ext autoreload\n%timeit -n1 -r1 pass\nimport pandas")
    found = {key for wire in manifest["components"] for kind, key in wire["roots"] if kind == "s"}
    assert found <= {"warnings.filters"}, "which libraries do add to"


def test_a_figure_that_is_drawn_in_the_page_is_told_and_kept(pair: Pair) -> None:
    """A title would go to a new figure without a word, or the notebook lose the one it shows."""
    pytest.importorskip("matplotlib")
    manifest = pair.cell(
        "%matplotlib notebook\nimport matplotlib.pyplot as plt\nplt.close('all')\n"
        "fig = plt.figure(); canvas = id(fig.canvas); other = plt.figure(); _ = plt.ioff()"
    )
    reason = "what it is drawn on belongs to one kernel"
    left = {name: told["reason"] for name, told in manifest["left_behind"].items()}
    assert left == {"figure 1": reason, "figure 2": reason}
    assert pair.problems == {}
    pair.a.check("assert plt.get_fignums() == [] and fig.number == 1 and not plt.isinteractive()")
    manifest = pair.back()
    assert {"figure 1", "figure 2"} <= manifest["left_behind"].keys()
    pair.b.check("assert plt.get_fignums() == [1, 2] and plt.gcf() is other")
    pair.b.check("assert id(fig.canvas) == canvas; plt.close('all')")
    assert pair.cell("_ = plt.ion()\n%matplotlib inline")["left_behind"] == {}


def test_no_figure_appears_that_no_cell_drew(pair: Pair) -> None:
    """The next cell on the server would show a figure of an earlier one once more."""
    pytest.importorskip("matplotlib")
    keep = "%config InlineBackend.close_figures = "
    pair.cell(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.close('all')\n"
        f"{keep}False\nfig, ax = plt.subplots(); ax.set_title('one')"
    )
    pair.a.run("1 + 1")
    assert pair.a.shown() == "2"
    pair.a.run("plt.title('two'); print(plt.gcf() is fig, ax.get_title())")
    assert pair.a.shown().startswith("True two")
    pair.back()
    pair.b.run("print(plt.gcf() is fig, ax.get_title())")
    assert pair.b.shown().strip() == "True two"
    pair.cell(f"plt.close('all')\n{keep}True")
