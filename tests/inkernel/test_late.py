"""What was missing when a snapshot came is tried again when a cell needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair


def test_a_file_that_arrives_later_is_opened_then(pair: Pair, tmp_path: Path) -> None:
    """Files come over later than variables do, so a handle would mostly be missing."""
    for name, kernel in (("a", pair.a), ("b", pair.b)):
        (tmp_path / name).mkdir()
        home = str(tmp_path / name)
        kernel.check(f"__import__('os').environ.__setitem__('HOME', {home!r})")
    lines = "".join(f"line {number}\n" for number in range(100))
    (tmp_path / "b" / "x").write_text(lines)
    pair.cell(
        "import pathlib\nf = open(pathlib.Path.home() / 'x'); _ = f.readline(); g = [f]\n"
        "def read(): return f.readline()"
    )
    assert set(pair.problems) == {"f", "g"}
    pair.a.run("1 + 1")
    (tmp_path / "a" / "x").write_text(lines)
    pair.a.check("assert read().startswith('line 1') and g[0] is f")
    pair.back()
    assert pair.problems == {}
    pair.b.check("assert read().startswith('line 2') and g[0] is f")


def test_a_package_that_is_installed_later_is_imported_then(pair: Pair, tmp_path: Path) -> None:
    """A user who installs what is missing would have to wait for the next switch."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    code = "class K:\n    n = 7\n"
    (folder / "rk_late.py").write_text(code)
    pair.b.run(f"import sys; sys.path.insert(0, {str(folder)!r}); import rk_late; k = rk_late.K()")
    manifest = pair.b.capture()
    (folder / "rk_late.py").unlink()
    problems = pair.a.apply(manifest)
    assert "the module 'rk_late' is not installed here" in problems["k"]
    assert "LeftBehindError" in pair.a.run("k.n")["ename"]
    (folder / "rk_late.py").write_text(code)
    pair.a.check("import importlib; importlib.invalidate_caches()")
    pair.a.check("assert k.n == 7")
    pair.back()
    pair.b.check("assert type(k) is rk_late.K")
