"""The digest is the same at both ends, whatever program computes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3

from relay_kernel.files.digest import CHUNK, count, hash_pieces, whole, zeros

if TYPE_CHECKING:
    from pathlib import Path


def pieces(path: Path, size: int) -> list[bytes]:
    with path.open("rb") as file:
        return [piece for piece, _ in hash_pieces(file.fileno(), size)]


@pytest.mark.parametrize("size", [0, 1, CHUNK])
def test_a_small_file_is_its_only_piece(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "f").write_bytes(data)
    found = pieces(tmp_path / "f", size)
    assert found == [blake3(data).digest()]
    assert whole(size, found) == blake3(data).digest()


@pytest.mark.parametrize("size", [CHUNK + 1, 2 * CHUNK, 40 * CHUNK + 7])
def test_a_longer_one_is_its_size_and_its_pieces(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "f").write_bytes(data)
    found = pieces(tmp_path / "f", size)
    expected = [blake3(data[at : at + CHUNK]).digest() for at in range(0, size, CHUNK)]
    assert found == expected
    assert len(found) == count(size)
    head = b"chunks" + size.to_bytes(8, "little")
    assert whole(size, found) == blake3(head + b"".join(expected)).digest()


def test_a_file_that_has_become_shorter_gives_other_pieces(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(CHUNK))
    found = pieces(tmp_path / "f", 40 * CHUNK)
    assert found == [zeros(CHUNK)]
