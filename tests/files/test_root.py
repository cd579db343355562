"""A folder that is not the one it was is never taken for an empty one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core.reconcile import Change
from relay_kernel.files.errors import FolderError, UnsafePathError
from relay_kernel.files.folder import Folder
from relay_kernel.files.root import Parents, names
from relay_kernel.files.rules import Rules
from tests.files.rig import End, file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "none", tmp_path / "state", Rules())
    with pytest.raises(FolderError, match="none is not there; make it, or mount its disk"):
        folder.open()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(FolderError, match="cannot be used: Not a directory"):
        Folder(tmp_path / "f", tmp_path / "state", Rules()).open()


def test_a_state_that_cannot_be_kept_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "f").write_text("")
    with pytest.raises(FolderError, match="state cannot be made: Not a directory"):
        Folder(tmp_path / "root", tmp_path / "f" / "state", Rules()).open()
    (tmp_path / "state" / "index.sqlite").mkdir(parents=True)
    one = Folder(tmp_path / "root", tmp_path / "state", Rules())
    with pytest.raises(FolderError, match="cannot be"):
        one.open()
    (tmp_path / "state" / "index.sqlite").rmdir()
    one.open()
    one.close()


def test_a_link_to_a_folder_is_that_folder(tmp_path: Path, end: End) -> None:
    end.write("f", b"x")
    end.folder.close()
    (tmp_path / "link").symlink_to(end.root)
    folder = Folder(tmp_path / "link", tmp_path / "state", Rules())
    folder.open()
    assert folder.scan() == {b"f": file(b"x")}
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(FolderError, match="is not the folder that it was"):
        folder.scan()
    folder.close()


def test_an_empty_folder_in_its_place_is_refused_until_a_person_says_so(end: End) -> None:
    end.write("f", b"x")
    end.folder.close()
    end.root.rename(end.place / "elsewhere")
    end.root.mkdir()
    with pytest.raises(FolderError, match="is its disk mounted"):
        end.reopen()
    assert list(end.root.iterdir()) == []
    end.folder.open(adopt=True)
    assert end.folder.scan() == {}


@pytest.mark.parametrize("how", ["moved", "removed", "replaced", "forgotten"])
def test_losing_it_while_it_is_open_is_no_deletion(end: End, how: str) -> None:
    end.write("f", b"x")
    if how == "removed":
        shutil.rmtree(end.root)
    elif how == "forgotten":
        shutil.rmtree(end.root / ".relay")
    else:
        end.root.rename(end.place / "elsewhere")
    if how == "replaced":
        end.root.mkdir()
    with pytest.raises(FolderError, match="is not the folder that it was"):
        end.folder.settle(now=True)
    with pytest.raises(FolderError, match="is not the folder that it was"):
        end.folder.commit([(Change(b"f", file(b"x"), None), None)])


def test_only_one_process_works_on_it(end: End) -> None:
    second = Folder(end.root, end.place / "other", Rules())
    with pytest.raises(FolderError, match="is kept equal by another process already"):
        second.open()


def test_our_own_folder_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ".relay").symlink_to(tmp_path)
    with pytest.raises(FolderError, match=r"\.relay is no folder of ours; remove it"):
        Folder(tmp_path / "root", tmp_path / "state", Rules()).open()


def test_a_folder_is_private_and_nothing_of_it_stays_open(end: End) -> None:
    assert (end.root / ".relay").stat().st_mode & 0o777 == 0o700
    assert end.state.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/etc/passwd",
        b"..",
        b"../x",
        b"a/../../x",
        b"a//b",
        b"a/",
        b"./a",
        b"a\0b",
        b".relay/root",
    ],
)
def test_a_path_that_leads_out_is_refused(path: bytes, end: End) -> None:
    with pytest.raises(UnsafePathError):
        names(path)
    assert "refused" in end.change(path, file(b"x"), b"x")


def test_a_link_on_the_way_is_not_followed(end: End, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (end.root / "a").mkdir()
    (end.root / "a" / "way").symlink_to(tmp_path / "outside")
    with Parents(end.folder._root.fd) as parents:
        with pytest.raises(UnsafePathError, match="way is a link; not followed"):
            parents.of(b"a/way/f")
        at, name = parents.of(b"a/way")
        assert name == b"way"
        assert at >= 0


def test_a_folder_that_became_a_link_is_not_written_through(end: End, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    end.write("a/f", b"x")
    shutil.rmtree(end.root / "a")
    (end.root / "a").symlink_to(tmp_path / "outside")
    reasons = end.folder.commit(
        [
            (Change(b"a/new", None, file(b"y")), b"y"),
            (Change(b"a/f", file(b"x"), file(b"y")), b"y"),
            (Change(b"a/f", file(b"x"), None), None),
        ]
    )
    assert all("a is a link; not followed" in reason for reason in reasons)
    assert list((tmp_path / "outside").iterdir()) == []
