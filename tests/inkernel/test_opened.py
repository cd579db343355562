"""Open files in the home folder are opened again at their place; all others say why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inkernel.rig import Pair


@pytest.fixture
def homes(pair: Pair, tmp_path: Path) -> tuple[Path, Path]:
    """The home folders of ``a`` and ``b``, each another one."""
    found = []
    for name in "ab":
        home = tmp_path / name
        home.mkdir()
        kernel = getattr(pair, name)
        kernel.check(f"__import__('os').environ.__setitem__('HOME', {str(home)!r})")
        found.append(home)
    return found[0], found[1]


def put(homes: tuple[Path, Path], name: str, data: bytes) -> None:
    """Have a file in both homes, as if it had been brought over."""
    for home in homes:
        (home / name).write_bytes(data)


LINES = b"".join(b"line %d \xc3\xa4\n" % number for number in range(2000))
READS = {
    "a text after some lines": ("open(p)", "[f.readline() for _ in range(7)]", "f.readline()"),
    "a text that was iterated over": ("open(p)", "[next(f) for _ in range(7)]", "next(f)"),
    "a text left in a loop": ("open(p)", "for _ in f: break", "f.readline()"),
    "a text at its end": ("open(p)", "f.read()", "f.read()"),
    "letters in the middle of a line": ("open(p)", "f.read(11)", "f.read(5)"),
    "bytes": ("open(p, 'rb')", "f.read(9000)", "f.read(9)"),
    "bytes without a buffer": ("open(p, 'rb', buffering=0)", "f.read(9)", "f.read(9)"),
    "another encoding": ("open(p, encoding='latin-1')", "f.read(99)", "f.read(9)"),
    "read and write": ("open(p, 'r+')", "f.read(9)", "(f.tell(), f.read(9), f.mode)"),
    "binary read and write": ("open(p, 'rb+')", "f.read(9)", "(f.tell(), f.read(9), f.mode)"),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_reading_goes_on_at_its_place(pair: Pair, homes: tuple[Path, Path], name: str) -> None:
    """A file would be read from its beginning again, or not at all."""
    how, use, go_on = READS[name]
    put(homes, "x.txt", LINES)
    pair.cell(f"from pathlib import Path\np = Path.home() / 'x.txt'\nf = {how}\n{use}")
    assert pair.problems == {}
    home = str(homes[0])
    pair.a.check(f"assert f.name.startswith({home!r}), f.name")
    pair.b.run(f"print({go_on})")
    wanted = pair.b.shown()
    assert wanted
    pair.a.run(f"print({go_on})")
    assert pair.a.shown() == wanted
    assert "f" not in pair.back()["left_behind"]
    assert pair.problems == {}
    pair.a.run(f"print({go_on})")
    pair.b.run(f"print({go_on})")
    assert pair.b.shown() == pair.a.shown()


@pytest.mark.parametrize("newline", ["None", "''", "'\\n'", "'\\r\\n'", "'\\r'"])
def test_line_ends_are_read_and_written_as_before(
    pair: Pair, homes: tuple[Path, Path], newline: str
) -> None:
    """A CSV file would have other lines after a switch."""
    put(homes, "x.csv", b"one\r\ntwo\r\nthree\nfour\rfive\r\n")
    open_it = f"open(Path.home() / 'x.csv', newline={newline})"
    pair.cell(f"from pathlib import Path\nf = {open_it}; first = f.read(2)\ng = {open_it}")
    pair.cell(f"w = open(Path.home() / 'w.txt', 'w', newline={newline}); w.write('a\\n')")
    (homes[0] / "w.txt").write_bytes((homes[1] / "w.txt").read_bytes())
    pair.cell("again = 1; f.tell()")
    pair.a.check(f"assert f.read() == {open_it}.read()[2:] and g.read() == {open_it}.read()")
    pair.b.run("w.write('b\\n'); w.close()")
    pair.a.run("w.write('b\\n'); w.close()")
    assert (homes[0] / "w.txt").read_bytes() == (homes[1] / "w.txt").read_bytes()


@pytest.mark.parametrize("mode", ["w", "a", "x", "wb", "ab", "w+", "a+b"])
def test_writing_goes_on_and_nothing_is_cut_or_written_twice(
    pair: Pair, homes: tuple[Path, Path], mode: str
) -> None:
    """A log would lose what is in it, or have it twice."""
    text = "" if "b" in mode else "str"
    write = "(lambda t: f.write(t))" if text else "(lambda t: f.write(t.encode()))"
    pair.b.check(
        f"import pathlib\nf = open(pathlib.Path.home() / 'x', {mode!r})\nw = {write}\nw('one ')"
    )
    manifest = pair.b.capture()
    assert (homes[1] / "x").read_bytes() == b"one ", "it was flushed"
    (homes[0] / "x").write_bytes(b"one ")
    assert pair.a.apply(manifest) == {}
    assert (homes[0] / "x").read_bytes() == b"one "
    pair.a.check("w('two '); f.flush()")
    assert (homes[0] / "x").read_bytes() == b"one two "
    manifest = pair.a.capture()
    (homes[1] / "x").write_bytes((homes[0] / "x").read_bytes())
    assert pair.b.apply(manifest) == {}
    pair.b.check("w('three'); f.close()")
    assert (homes[1] / "x").read_bytes() == b"one two three"


def test_two_names_of_one_handle_stay_one(pair: Pair, homes: tuple[Path, Path]) -> None:
    """Two variables would read the same lines twice."""
    put(homes, "x", LINES)
    pair.cell("import pathlib\nf = open(pathlib.Path.home() / 'x'); g = [f]; below = f.buffer")
    assert pair.problems == {}
    pair.a.check("assert g[0] is f and f.buffer is below")


def test_a_file_that_is_not_there_is_named(pair: Pair, homes: tuple[Path, Path]) -> None:
    """A user would not know which file is missing."""
    put(homes, "x", LINES)
    (homes[0] / "x").unlink()
    pair.cell("import pathlib\nf = open(pathlib.Path.home() / 'x'); rest = 1")
    assert pair.problems == {
        "f": f"the file {homes[0] / 'x'} cannot be opened here: No such file or directory"
    }
    pair.a.check("assert rest == 1")
    assert "x cannot be opened here" in pair.a.run("f.read()")["evalue"]
    assert not (homes[0] / "x").exists()
    pair.a.run("rest = 2")
    pair.back()
    pair.b.check("assert f.readline().startswith('line 0')")


def test_a_file_that_is_too_short_is_not_taken_for_the_same(
    pair: Pair, homes: tuple[Path, Path]
) -> None:
    """What is written next would leave a hole before it."""
    put(homes, "x", LINES)
    (homes[0] / "x").write_bytes(b"short")
    pair.cell("import pathlib\nf = open(pathlib.Path.home() / 'x', 'rb'); _ = f.read(100)")
    assert "has 5 bytes here, and its place is after 100" in pair.problems["f"]


def test_a_closed_file_travels_as_closed(pair: Pair, homes: tuple[Path, Path]) -> None:
    """``with open(…) as f`` leaves one behind in most notebooks."""
    put(homes, "x", LINES)
    pair.cell(
        "import pathlib\nwith open(pathlib.Path.home() / 'x') as f: pass\n"
        "with open('/etc/hostname', 'rb') as g: pass\nh = open('/etc/hostname'); h.close()"
    )
    assert pair.problems == {}
    pair.a.check("assert f.closed and g.closed and h.closed and f.mode == 'r' and g.mode == 'rb'")
    pair.a.check("assert h.name == '/etc/hostname' and str(f.name).endswith('/x')")
    assert pair.a.run("f.read()")["ename"] == "ValueError"
    assert pair.back()["left_behind"] == {}


STAYS = {
    "open('/etc/hostname')": "/etc/hostname is not in the home folder",
    "open('/dev/null')": "no ordinary file",
    "__import__('tempfile').TemporaryFile()": "no path any more",
    "__import__('tempfile').NamedTemporaryFile()": "a temporary file belongs to one machine",
    "__import__('os').fdopen(__import__('os').pipe()[0])": "no path any more",
    "__import__('gzip').open('/etc/hostname')": "it holds a BufferedReader",
}  # fmt: skip


@pytest.mark.parametrize("code", STAYS)
def test_what_stays_says_why(pair: Pair, code: str) -> None:
    """A user would think that any file goes along."""
    manifest = pair.cell(f"f = {code}; x = 1")
    assert pair.problems == {}
    assert STAYS[code] in manifest["left_behind"]["f"]["reason"]
    pair.a.check("assert x == 1")


def test_a_file_that_was_replaced_stays(pair: Pair, homes: tuple[Path, Path]) -> None:
    """The handle would go on in a file that nobody sees any more."""
    put(homes, "x", LINES)
    pair.b.run("import pathlib, os\np = pathlib.Path.home() / 'x'\nf = open(p)")
    (homes[1] / "y").write_bytes(LINES)
    (homes[1] / "y").replace(homes[1] / "x")
    manifest = pair.b.capture()
    assert "is another one by now" in manifest["left_behind"]["f"]["reason"]
    pair.b.run("f.close()")
    assert pair.b.capture()["left_behind"] == {}


def test_a_relative_name_is_found_after_the_folder_was_changed(
    pair: Pair, homes: tuple[Path, Path]
) -> None:
    """``open("x")`` would be looked for in the wrong folder."""
    put(homes, "x", LINES)
    pair.cell("import os, pathlib; os.chdir(pathlib.Path.home()); f = open('x'); os.chdir('/')")
    assert pair.problems == {}
    pair.a.check("assert f.readline().startswith('line 0') and f.name == 'x'")


def test_standard_streams_stay_what_they_are(pair: Pair) -> None:
    """``out = sys.stdout`` in a cell would stop at the first switch."""
    pair.cell("import sys; i, o, e, u = sys.stdin, sys.stdout, sys.stderr, sys.__stdout__")
    assert pair.problems == {}
    pair.a.check("assert i is sys.stdin and o is sys.stdout and u is sys.__stdout__")


def write(homes: tuple[Path, Path], name: str, data: bytes) -> None:
    """Have a newer file in ``a``'s home, as it comes over: under its name in one step."""
    (homes[0] / "new").write_bytes(data)
    (homes[0] / "new").replace(homes[0] / name)


def test_a_newer_file_that_came_behind_the_state_is_the_one_that_is_read(
    pair: Pair, homes: tuple[Path, Path]
) -> None:
    """A handle would go on in a file that was there before and is gone."""
    put(homes, "x", b"one\n")
    pair.cell("import pathlib\nf = open(pathlib.Path.home() / 'x'); a = f.readline()")
    pair.cell("_ = open(pathlib.Path.home() / 'x', 'a').write('two\\n')")
    write(homes, "x", (homes[1] / "x").read_bytes())
    pair.a.check("assert f.readline() == 'two\\n'")


def test_an_array_in_a_file_stays_in_it(pair: Pair, homes: tuple[Path, Path]) -> None:
    """What is written to it after a switch would be in no file."""
    pair.b.check(
        "import numpy as np, pathlib\np = pathlib.Path.home() / 'x'\n"
        "m = np.memmap(p, 'f4', 'w+', shape=(3, 400)); m[:] = 1\n"
        "v = m[1:, 5:]; w = np.asarray(m)[::-1]; t = m.T; r = np.memmap(p, 'f4', 'r', offset=400)"
    )
    manifest = pair.b.capture()
    assert manifest["left_behind"] == {}
    (homes[0] / "x").write_bytes((homes[1] / "x").read_bytes())
    assert pair.a.apply(manifest) == {}
    pair.b.check("m[2, 7] = 5")
    manifest = pair.b.capture()
    assert pair.a.apply(manifest) == {}
    write(homes, "x", (homes[1] / "x").read_bytes())
    pair.a.check(
        "assert m[2, 7] == v[1, 2] == w[0, 7] == t[7, 2] == 5 and r[-393] == 5, r\n"
        "assert type(m) is type(v) is type(t) is np.memmap and type(w) is np.ndarray\n"
        "v[0, 0] = 7; assert m[1, 5] == 7 and not r.flags.writeable\n"
        "assert np.fromfile(p.home() / 'x', 'f4')[405] == 7 and m.filename == str(p.home() / 'x')"
    )
    # Of the same content, nothing more than where it lies travels.
    assert sum(pair.b.capture()["chunks"].values()) < 4000


def test_an_array_in_a_file_elsewhere_stays_or_is_a_copy(
    pair: Pair, homes: tuple[Path, Path], tmp_path: Path
) -> None:
    """What is written to a copy would be lost."""
    manifest = pair.cell(
        f"import numpy as np\nm = np.memmap({str(tmp_path / 'x')!r}, 'f4', 'w+', shape=(300,))\n"
        f"r = np.memmap({str(tmp_path / 'x')!r}, 'f4', 'r'); x = 1"
    )
    assert "x is not in the home folder" in manifest["left_behind"]["m"]["reason"]
    pair.a.check("assert x == 1 and r.shape == (300,)")
