"""What a cell says to R is found, and nothing else is taken for it."""

from __future__ import annotations

import pytest

from relay_kernel.core.directives import Directives, parse


@pytest.mark.parametrize(
    "code",
    ["", "\n", "x = 1", "x = 10 %relay", "%relayed", "%%relays pc", "# %relay", "relay"],
)
def test_a_cell_that_says_nothing_to_us(code: str) -> None:
    assert parse(code) == Directives()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%relay", ()),
        ("%relay pc", ("pc",)),
        ("  %relay   on_loss   stop  ", ("on_loss", "stop")),
        ("%relay vars # where is what", ("vars",)),
        ("%relay # where am I", ()),
        ("%relay?", ("?",)),
        ("%relay??", ("?",)),
        ("?%relay", ("?",)),
        ("%relay? # help", ("?",)),
    ],
)
def test_a_line_magic_gives_its_words(code: str, words: tuple[str, ...]) -> None:
    assert parse(code) == Directives(lines=(words,))


def test_lines_between_others_are_found_in_order() -> None:
    assert parse("%relay\nx = 1\n%relay pc\n\ny = 2\n%relay?").lines == ((), ("pc",), ("?",))


@pytest.mark.parametrize(
    ("code", "target"),
    [
        ("%%relay pc", "pc"),
        ("%%relay pc\nx = 1", "pc"),
        ("%%relay   local  # here, please\nx = 1", "local"),
        ("%%relay\nx = 1", ""),
        ("\n  \n%%relay pc\nx = 1", "pc"),
        ("%%relay pc local", "pc local"),
    ],
)
def test_a_cell_magic_names_the_target_of_its_cell(code: str, target: str) -> None:
    assert parse(code) == Directives(target)


def test_a_cell_magic_counts_in_the_first_line_only() -> None:
    assert parse("x = 1\n%%relay pc") == Directives()


def test_a_cell_magic_may_have_lines_below() -> None:
    assert parse("%%relay local\n%relay vars\nx = 1") == Directives("local", lines=(("vars",),))


@pytest.mark.parametrize(
    ("code", "target"),
    [
        ("%%relay once\nx = 1", None),
        ("%%relay pc once", "pc"),
        ("%%relay once local  # not twice", "local"),
    ],
)
def test_a_cell_may_ask_never_to_run_again(code: str, target: str | None) -> None:
    assert parse(code) == Directives(target, once=True)


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("%relay restore", ()),
        ("x = 1\n%relay restore 2 --replace", ("2", "--replace")),
        ("%relay restore list", None),
        ("%relay vars", None),
    ],
)
def test_a_cell_may_ask_for_a_kept_state(code: str, asked: tuple[str, ...] | None) -> None:
    assert parse(code).restore == asked
