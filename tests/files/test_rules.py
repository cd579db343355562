"""What is left alone."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from relay_kernel.core.tree import Kind
from relay_kernel.files.rules import Matcher, Rules, show_size


@pytest.mark.parametrize(
    "path",
    [b".venv/bin/python", b"a/node_modules/x/y", b"a/.git/HEAD", b".relay/root", b"n.ipynb~"],
)
def test_what_is_rebuilt_or_half_is_left_alone(path: bytes) -> None:
    assert Matcher(Rules()).hides(path)


@pytest.mark.parametrize(
    "path", [b"n.ipynb", b"data/x.csv", b"\xff\xfe", b"a/.env", b".relayignore"]
)
def test_what_people_write_is_not(path: bytes) -> None:
    assert not Matcher(Rules()).hides(path)


def test_a_rule_for_folders_is_none_for_files() -> None:
    matcher = Matcher(Rules())
    assert matcher.hides(b"node_modules", Kind.FOLDER)
    assert not matcher.hides(b"node_modules", Kind.FILE)
    assert matcher.hides(b"node_modules"), "it may be either"


def test_the_folders_own_rules_come_last() -> None:
    matcher = Matcher(Rules(), b"*.ckpt\n!.git/\n# a comment\n\n")
    assert matcher.hides(b"a/b.ckpt")
    assert not matcher.hides(b".git/HEAD")


def test_a_line_that_is_no_pattern_is_told_and_not_used() -> None:
    matcher = Matcher(Rules(), b"!\n*.ckpt\n[?-.]\n")
    assert matcher.wrong == ["!", "[?-.]"]
    assert matcher.hides(b"b.ckpt")


LINES = st.lists(st.text("ab.*?![]/\\#-x ", max_size=8), max_size=6)
PATHS = st.lists(st.text("ab.#*x\n ", min_size=1, max_size=5), min_size=1, max_size=4)


# pathspec's own expressions for sets such as [[] may come to mean something else to Python.
@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@pytest.mark.filterwarnings("ignore:Possible set difference:FutureWarning")
@given(LINES, PATHS, st.booleans())
def test_what_is_ignored_is_what_pathspec_says(
    lines: list[str], path: list[str], folder: bool
) -> None:
    matcher = Matcher(Rules(ignore=()), "\n".join(lines).encode())
    name = "/".join(path)
    good = [line for line in lines if line not in matcher.wrong]
    wanted = GitIgnoreSpec.from_lines(good).match_file(name + "/" if folder else name)
    assert matcher.ignores(os.fsencode(name), folder=folder) == wanted


def test_a_large_file_may_be_an_exception() -> None:
    matcher = Matcher(Rules(largest=1000, large=("models/*.pt",)))
    assert matcher.too_large(b"x.bin", 1001) == "is larger than 1000 bytes"
    assert not matcher.too_large(b"x.bin", 1000)
    assert not matcher.too_large(b"models/x.pt", 10**12)


def test_sizes_are_for_people() -> None:
    assert [show_size(n) for n in (12, 2048, 5 << 30)] == ["12 bytes", "2 KiB", "5 GiB"]
