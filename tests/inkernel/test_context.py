"""What is in no variable travels too, and goes back to what it was when the user undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair

PLAIN = "get_ipython().display_formatter.formatters['text/plain']"
INLINE = "__import__('matplotlib_inline.config').config.InlineBackend.instance()"
#: What a cell changes: how, how one sees it, and how it is undone.
CHANGES = {
    "decimal": (
        "import decimal as d; d.getcontext().prec = 7; d.getcontext().traps[d.Inexact] = True",
        "(d.getcontext().prec, d.getcontext().traps[d.Inexact])",
        "d.getcontext().prec = 28; d.getcontext().traps[d.Inexact] = False",
    ),
    "decimal flags": (
        "import decimal as d; d.Decimal(1) / d.Decimal(3)",
        "d.getcontext().flags[d.Inexact]",
        "d.getcontext().clear_flags()",
    ),
    "locale": (
        "import locale; _ = locale.setlocale(locale.LC_TIME, 'C.UTF-8'); "
        "_ = locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
        "(locale.setlocale(locale.LC_TIME), locale.setlocale(locale.LC_NUMERIC))",
        "locale.setlocale(locale.LC_TIME, 'C'); locale.setlocale(locale.LC_NUMERIC, 'C')",
    ),
    "log levels": (
        "import logging; logging.getLogger().setLevel(10); log = logging.getLogger('rk.a.b')\n"
        "log.setLevel('ERROR'); log.disabled = True; log.propagate = False; logging.disable(5)",
        "(logging.root.level, log.level, log.disabled, log.propagate, "
        "logging.root.manager.disable)",
        "logging.getLogger().setLevel(30); log.setLevel(0); log.disabled = False\n"
        "log.propagate = True; logging.disable(0)",
    ),
    "numpy errors": (
        "import numpy as np; old = np.seterr(all='raise')",
        "np.geterr()",
        "np.seterr(**old)",
    ),
    "numpy printing": (
        "import numpy as np; np.set_printoptions(precision=2)",
        "np.get_printoptions()['precision']",
        "np.set_printoptions(precision=8)",
    ),
    "pandas": (
        "import pandas as pd; pd.set_option('display.max_rows', 7)",
        "pd.get_option('display.max_rows')",
        "pd.reset_option('display.max_rows')",
    ),
    "figures before the first": (
        "%config InlineBackend.figure_formats = ['svg']",
        "get_ipython().config.get('InlineBackend', {}).get('figure_formats')",
        "get_ipython().config.pop('InlineBackend')",
    ),
    "figures in the notebook": (
        "%matplotlib inline\nimport matplotlib.pyplot as plt\n"
        "%config InlineBackend.figure_formats = ['svg']",
        f"{INLINE}.figure_formats",
        "%config InlineBackend.figure_formats = ['png']",
    ),
    "figures drawn for a file": (
        "import matplotlib; matplotlib.use('svg')",
        "matplotlib.get_backend().split('_')[-1]",
        "%matplotlib inline",
    ),
    "figures drawn for a file, since the first": (
        "import matplotlib.pyplot as plt; plt.close(plt.figure())\n%matplotlib agg",
        "(plt.get_backend().split('_')[-1], len(plt.figure().canvas.buffer_rgba()) > 0)",
        "plt.close('all')\n%matplotlib inline",
    ),
    "figures not drawn at once": (
        "import matplotlib.pyplot as plt; plt.close(plt.figure()); _ = plt.ioff()",
        "plt.isinteractive()",
        "_ = plt.ion()",
    ),
    "scikit-learn": (
        "import sklearn; sklearn.set_config(display='text')",
        "sklearn.get_config()['display']",
        "sklearn.set_config(display='diagram')",
    ),
    "torch printing": (
        "import torch; torch.set_printoptions(precision=2)",
        "torch.tensor([1 / 3])",
        "torch.set_printoptions(profile='default')",
    ),
    "aliases": (
        "%alias rk_alias echo hello %s",
        "dict(get_ipython().alias_manager.aliases).get('rk_alias')",
        "%unalias rk_alias",
    ),
    "folders visited": ("%cd -q /usr\n%pushd /", "(_dh[1:], get_ipython().dir_stack)", "%popd"),
    "precision": ("%precision 2", f"{PLAIN}.float_format", "%precision"),
    "pprint": ("%pprint 0", f"{PLAIN}.pprint", "%pprint 1"),
    "every result is shown": (
        "get_ipython().ast_node_interactivity = 'all'",
        "get_ipython().ast_node_interactivity",
        "get_ipython().ast_node_interactivity = 'last_expr'",
    ),
    "tracebacks": ("%xmode Plain", "get_ipython().InteractiveTB.mode", "%xmode Context"),
    "recursion": (
        "import sys; sys.setrecursionlimit(5000)",
        "sys.getrecursionlimit()",
        "sys.setrecursionlimit(3000)",
    ),
    "environ": (
        "import os; os.environ['RK_NEW'] = '1'; had = os.environ.pop('LANG', None)",
        "(os.environ.get('RK_NEW'), os.environ.get('LANG'))",
        "os.environ.pop('RK_NEW'); had and os.environ.__setitem__('LANG', had)",
    ),
}

#: First word of a change -> the package that it needs.
NEEDED = {"figures": "matplotlib", "scikit-learn": "sklearn", "torch": "torch"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_travels_both_ways_and_so_does_undoing_it(pair: Pair, name: str) -> None:
    """The same cell would print or compute something else after a switch."""
    for word, module in NEEDED.items():
        if word in name:
            pytest.importorskip(module)
    change, look, undo = CHANGES[name]
    look = f"print(repr({look}))"
    pair.cell(change)
    assert pair.problems == {}
    pair.b.run(look)
    wanted = pair.b.shown()
    pair.a.run(look)
    assert pair.a.shown() == wanted
    pair.a.check(undo)
    pair.a.run(look)
    undone = pair.a.shown()
    assert undone != wanted
    pair.back()
    assert pair.problems == {}
    pair.b.run(look)
    assert pair.b.shown() == undone


def test_unchanged_settings_are_not_sent(pair: Pair) -> None:
    """A PC would get the locale and the log levels of the server for nothing."""
    sent = pair.b.capture()["context"].keys()
    always = {"random", "numpy_random", "torch_random", "numpy_print", "matplotlib", "history"}
    assert sent <= {*always, "imports"}


def test_secrets_of_the_login_stay_where_they_are(pair: Pair) -> None:
    """Passwords in the environment of the server would be copied to a PC that others use."""
    pair.b.run("import os; os.environ.update(RK_MINE='1', PATH='/nowhere', SSH_AUTH_SOCK='/x')")
    assert pair.b.capture()["context"]["environ"] == {"RK_MINE": "1"}
    pair.b.run("import os; os.environ['PATH'] = '/usr/bin:/bin'; del os.environ['SSH_AUTH_SOCK']")


def test_what_has_no_place_there_comes_back_as_it_was(pair: Pair, tmp_path: Path) -> None:
    """A notebook would lose its folder on the PC because the server has no such folder."""
    gone = tmp_path / "only on the pc"
    gone.mkdir()
    pair.b.run(f"import os; os.chdir({str(gone)!r}); os.environ['RK_LOCALE'] = '1'")
    manifest = pair.b.capture()
    pair.b.run("os.chdir('/')")
    gone.rmdir()
    assert "folder" in pair.a.apply(manifest)
    gone.mkdir()
    pair.back()
    pair.b.check(f"assert os.getcwd() == {str(gone)!r}")
    pair.b.run("os.chdir('/')")
    gone.rmdir()


def test_windows_stay_on_the_machine_that_has_a_screen(pair: Pair) -> None:
    """The server would look for a screen, or the PC would have forgotten its windows."""
    pytest.importorskip("matplotlib")
    pair.cell("import matplotlib; dict.__setitem__(matplotlib.rcParams, 'backend', 'qtagg')")
    assert pair.problems == {}
    pair.a.check("import matplotlib; assert 'inline' in dict.get(matplotlib.rcParams, 'backend')")
    pair.back()
    pair.b.check("assert dict.get(matplotlib.rcParams, 'backend') == 'qtagg'")
    pair.cell("%matplotlib inline")
    assert pair.problems == {}


def test_a_locale_that_is_not_there_is_told_by_name(pair: Pair) -> None:
    """A user would see other decimal points, and not know why."""
    manifest = pair.cell("x = 1")
    manifest["context"]["locale"] = "xx_YY.UTF-8"
    problems = pair.a.apply(manifest)
    assert problems == {"locale": "LookupError: the locale xx_YY.UTF-8 is not installed here"}
    assert pair.a.capture()["context"]["locale"] == "xx_YY.UTF-8"
    pair.a.check("assert x == 1")


def test_extensions_are_loaded_by_name(pair: Pair, tmp_path: Path) -> None:
    """``%rk_hello`` would be unknown after a switch."""
    (tmp_path / "rk_extension.py").write_text(
        "def load_ipython_extension(ip):\n"
        "    ip.register_magic_function(lambda line: 'hello ' + line, 'line', 'rk_hello')\n"
        "def unload_ipython_extension(ip):\n    del ip.magics_manager.magics['line']['rk_hello']\n"
    )
    pair.cell(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n%load_ext rk_extension")
    assert pair.problems == {}
    pair.a.check("assert get_ipython().run_line_magic('rk_hello', 'you') == 'hello you'")
    pair.a.run("%unload_ext rk_extension")
    pair.back()
    pair.b.check("assert get_ipython().find_line_magic('rk_hello') is None")


def test_an_extension_that_is_missing_is_told_and_not_forgotten(pair: Pair) -> None:
    """The way back would unload an extension that only the PC has."""
    pair.b.run("import types, sys; m = types.ModuleType('rk_only_here')\n"
               "m.load_ipython_extension = m.unload_ipython_extension = lambda ip: None\n"
               "sys.modules['rk_only_here'] = m; del m\n%load_ext rk_only_here")  # fmt: skip
    problems = pair.a.apply(pair.b.capture())
    assert "'rk_only_here' is not installed here" in problems["extensions"]
    pair.back()
    pair.b.check("assert 'rk_only_here' in get_ipython().extension_manager.loaded")
    pair.b.run("%unload_ext rk_only_here")


def test_autoreload_goes_on(pair: Pair) -> None:
    """An edited module would no longer be loaded again."""
    pair.cell("%load_ext autoreload\n%autoreload 2")
    assert pair.problems == {}
    mode = "get_ipython().magics_manager.registry['AutoreloadMagics']._reloader"
    pair.a.check(f"assert {mode}.enabled and {mode}.check_all")
    pair.a.run("%autoreload 0")
    pair.back()
    pair.b.check(f"assert not {mode}.enabled")


RANDOM = {
    "random": ("import random; random.seed(3)", "random.random()"),
    "numpy": ("import numpy as np; np.random.seed(3)", "np.random.rand()"),
    "torch": ("import torch; torch.manual_seed(3)", "torch.rand(1).item()"),
    "a library": ("import rk_dice; rk_dice.dice.seed(3)", "rk_dice.dice.random()"),
    "a library, NumPy": ("import rk_dice; rk_dice.rng.random()", "rk_dice.rng.random()"),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_go_on(
    pair: Pair, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same seed would not give the same numbers any more."""
    if name == "torch":
        pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("x") / "site-packages"
    folder.mkdir()
    (folder / "rk_dice.py").write_text(
        "import random, numpy\ndice = random.Random()\nrng = numpy.random.default_rng()\n"
    )
    seed, draw = RANDOM[name]
    pair.cell(f"import sys; sys.path.insert(0, {str(folder)!r}); {seed}")
    assert pair.problems == {}
    pair.b.run(f"print([{draw} for _ in range(3)])")
    wanted = pair.b.shown()
    pair.a.run(f"print([{draw} for _ in range(3)])")
    assert pair.a.shown() == wanted
    pair.back()
    pair.a.run(f"print({draw})")
    pair.b.run(f"print({draw})")
    assert pair.b.shown() == pair.a.shown()
    for kernel in (pair.a, pair.b):
        kernel.run("import sys; sys.modules.pop('rk_dice', None)")


def test_torch_defaults_travel(pair: Pair) -> None:
    """New tensors would have another type, and a network other gradients."""
    pytest.importorskip("torch")
    pair.cell(
        "import torch; torch.set_default_dtype(torch.float64); _ = torch.set_grad_enabled(False)"
    )
    assert pair.problems == {}
    pair.a.check("assert torch.zeros(1).dtype is torch.float64 and not torch.is_grad_enabled()")
    pair.a.run("torch.set_default_dtype(torch.float32); _ = torch.set_grad_enabled(True)")
    pair.back()
    pair.b.check("assert torch.zeros(1).dtype is torch.float32 and torch.is_grad_enabled()")


def test_a_section_that_cannot_be_taken_costs_only_itself(pair: Pair) -> None:
    """One odd library would take the random numbers along."""
    manifest = pair.cell(
        "import random; random.seed(1)\nimport logging\nlogging.root.manager.loggerDict[3] = 4\n"
        "class Odd(logging.Logger):\n    level = property(lambda self: 1 / 0)\n"
        "    def __init__(self): pass\nlogging.root.manager.loggerDict['odd'] = Odd()"
    )
    assert "ZeroDivisionError" in manifest["left_behind"]["logging"]["reason"]
    assert "random" in manifest["context"]
    pair.b.run("for k in (3, 'odd'): logging.root.manager.loggerDict.pop(k)")
