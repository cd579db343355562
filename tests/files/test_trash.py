"""What was displaced comes back, until the trash's bounds take it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from relay_kernel.files.errors import FolderError
from relay_kernel.files.rules import Rules
from tests.files.rig import End, file, link

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 7, 22, tzinfo=UTC).timestamp()


def displaced(end: End, name: str, when: str, size: int = 3) -> None:
    place = end.root / ".relay" / "trash" / when / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"x" * size)


def test_it_lists_what_was_displaced_the_newest_first(end: End) -> None:
    end.write("a/f", b"one")
    end.change(b"l", link(b"x"))
    assert end.change(b"a/f", file(b"two"), b"two") == ""
    assert end.change(b"a/f", None) == ""
    assert end.change(b"l", None) == ""
    found = end.folder.trash.list()
    assert [each.path for each in found] == [b"l", b"a/f", b"a/f"]
    assert sorted({each.when for each in found}, reverse=True) == [each.when for each in found]


def test_a_deleted_file_comes_back_with_its_folder(end: End) -> None:
    end.write("a/b/f", b"one")
    for path in (b"a/b/f", b"a/b", b"a"):
        assert end.change(path, None) == ""
    (gone,) = end.folder.trash.list()
    end.folder.trash.restore(gone.path, gone.when)
    assert end.folder.settle(now=True)[b"a/b/f"] == file(b"one")
    assert end.folder.trash.list() == []


@pytest.mark.parametrize("swaps", [True, False])
def test_a_replaced_file_comes_back_and_the_present_one_is_kept(end: End, swaps: bool) -> None:
    end.folder._open_parts.exchange.swaps = swaps
    end.write("f", b"one")
    assert end.change(b"f", file(b"two"), b"two") == ""
    (old,) = end.folder.trash.list()
    end.folder.trash.restore(b"f", old.when)
    assert (end.root / "f").read_bytes() == b"one"
    (kept,) = end.folder.trash.list()
    assert kept.when > old.when
    assert (end.root / ".relay/trash" / kept.when / "f").read_bytes() == b"two"


@pytest.mark.parametrize(
    ("path", "when"),
    [(b"f", "20200101T000000.000000Z"), (b"g", ""), (b"../root", ".."), (b"f", "../../x")],
)
def test_what_is_not_there_is_said_so(end: End, path: bytes, when: str) -> None:
    end.write("f", b"one")
    end.change(b"f", None)
    with pytest.raises(FolderError, match="is not in the trash of"):
        end.folder.trash.restore(path, when)


def test_a_place_that_is_something_else_now_is_said_so(end: End, tmp_path: Path) -> None:
    end.write("a/f", b"one")
    end.change(b"a/f", None)
    (gone,) = end.folder.trash.list()
    (end.root / "a").rmdir()
    (end.root / "a").symlink_to(tmp_path)
    with pytest.raises(FolderError, match=r"cannot be put back: .*a is a link"):
        end.folder.trash.restore(gone.path, gone.when)
    (end.root / "a").unlink()
    (end.root / "a").write_bytes(b"")
    with pytest.raises(FolderError, match="cannot be put back: its folder is something else now"):
        end.folder.trash.restore(gone.path, gone.when)
    assert len(end.folder.trash.list()) == 1


def test_what_is_old_goes_and_what_is_too_much(tmp_path: Path) -> None:
    with End(tmp_path, Rules(trash_days=2, trash_bytes=10)) as end:
        displaced(end, "old", "20260719T000000.000000Z")
        displaced(end, "a/large", "20260721T000000.000000Z", 8)
        displaced(end, "recent", "20260721T120000.000000Z", 9)
        displaced(end, "recent", "20260721T130000.000000Z", 1)
        displaced(end, "mine", "no moment", 0)
        end.folder.trash.bound(NOW)
        assert {(each.path, each.size) for each in end.folder.trash.list()} == {
            (b"recent", 9),
            (b"recent", 1),
            (b"mine", 0),
        }
        assert not os.path.exists(end.root / ".relay/trash/20260719T000000.000000Z")
