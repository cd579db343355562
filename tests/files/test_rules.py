"""What is left alone."""

from __future__ import annotations

import pytest

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
    matcher = Matcher(Rules(), b"!\n*.ckpt\n")
    assert matcher.wrong == ["!"]
    assert matcher.hides(b"b.ckpt")


def test_a_large_file_may_be_an_exception() -> None:
    matcher = Matcher(Rules(largest=1000, large=("models/*.pt",)))
    assert matcher.too_large(b"x.bin", 1001) == "is larger than 1000 bytes"
    assert not matcher.too_large(b"x.bin", 1000)
    assert not matcher.too_large(b"models/x.pt", 10**12)


def test_sizes_are_for_people() -> None:
    assert [show_size(n) for n in (12, 2048, 5 << 30)] == ["12 bytes", "2 KiB", "5 GiB"]
