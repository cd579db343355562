"""Names of conflict copies: readable, in the same folder, and never too long for a file system."""

from __future__ import annotations

import pytest

from relay_kernel.core.conflicts import NAME_MAX, note_path, number_path


@pytest.mark.parametrize(
    ("path", "noted"),
    [
        (b"notes.ipynb", b"notes (pc).ipynb"),
        (b"a.b/data", b"a.b/data (pc)"),
        (b"a/b.tar.gz", b"a/b.tar (pc).gz"),
        (b".bashrc", b".bashrc (pc)"),
        (b"d/.env.old", b"d/.env (pc).old"),
        (b"Dr. Miller's own notes", b"Dr. Miller's own notes (pc)"),
        (b"ends.", b"ends (pc)."),
        (b"\xff\xfe.bin", b"\xff\xfe (pc).bin"),
    ],
)
def test_the_note_comes_before_the_ending(path: bytes, noted: bytes) -> None:
    assert note_path(path, "pc") == noted


def test_the_first_name_has_no_number() -> None:
    assert number_path(b"d/a (pc).txt", 1) == b"d/a (pc).txt"
    assert number_path(b"d/a (pc).txt", 2) == b"d/a (pc) (2).txt"


def test_a_long_name_is_cut_and_keeps_its_ending() -> None:
    noted = note_path(b"d/" + b"x" * 250 + b".txt", "pc")
    assert len(noted) == len(b"d/") + NAME_MAX
    assert noted.endswith(b"x (pc).txt")


def test_a_long_name_is_not_cut_through_a_character() -> None:
    name = note_path("é".encode() * 127, "pc")
    assert len(name) <= NAME_MAX
    assert name.decode() == "é" * 125 + " (pc)"


def test_a_long_name_that_is_not_utf_8_is_cut_by_bytes() -> None:
    assert len(note_path(b"\xff" * NAME_MAX, "pc")) == NAME_MAX
