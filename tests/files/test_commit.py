"""A change is made whole, only over what it replaces, and nothing is ever lost by it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core.reconcile import Change
from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.errors import NoSpaceError
from relay_kernel.files.exchange import Exchange
from relay_kernel.files.parts import Folds
from relay_kernel.files.rules import Rules
from tests.files.rig import End, Program, file, folder, link, mirror

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPEN = "out = open(sys.argv[1], 'r+b'); done(); out.write(b'late'); out.flush(); done()"


def trashed(end: End) -> dict[bytes, bytes]:
    """Path -> content of all that was displaced."""
    top = end.root / ".relay" / "trash"
    return {
        each.path: (top / each.when / os.fsdecode(each.path)).read_bytes()
        for each in end.folder.trash.list()
    }


@pytest.fixture(params=["both", "creates", "none"])
def lacking(request: pytest.FixtureRequest, end: End) -> End:
    """An end on a disk that has all renames, or not all of them."""
    exchange = end.folder._open_parts.exchange
    assert exchange.creates
    assert exchange.swaps
    exchange.creates = request.param != "none"
    exchange.swaps = request.param == "both"
    return end


class TestEachChange:
    def test_a_file_comes(self, lacking: End) -> None:
        new = file(b"text", 0o640, 1_234_567_890_123_456_789)
        assert lacking.change(b"f", new, b"text") == ""
        found = (lacking.root / "f").stat()
        assert (lacking.root / "f").read_bytes() == b"text"
        assert found.st_mode & 0o777 == 0o640
        assert found.st_mtime_ns == 1_234_567_890_123_456_789
        assert lacking.folder.tree == {b"f": new}
        assert lacking.folder.settle(now=True) == {}
        assert lacking.folder.scan() == {}

    def test_a_file_is_replaced_and_kept(self, lacking: End) -> None:
        lacking.write("f", b"old")
        assert lacking.change(b"f", file(b"new"), b"new") == ""
        assert (lacking.root / "f").read_bytes() == b"new"
        assert trashed(lacking) == {b"f": b"old"}
        assert lacking.folder.settle(now=True) == {}

    def test_a_file_goes_and_is_kept(self, lacking: End) -> None:
        lacking.write("a/f", b"old")
        assert lacking.change(b"a/f", None) == ""
        assert not (lacking.root / "a/f").exists()
        assert trashed(lacking) == {b"a/f": b"old"}
        assert set(lacking.folder.tree) == {b"a"}

    def test_a_link_comes_changes_and_goes(self, lacking: End) -> None:
        assert lacking.change(b"l", link(b"\xff/../x")) == ""
        assert os.readlink(os.fsencode(lacking.root / "l")) == b"\xff/../x"
        assert lacking.change(b"l", link(b"y")) == ""
        assert os.readlink(lacking.root / "l") == "y"
        assert lacking.change(b"l", None) == ""
        assert not os.path.lexists(lacking.root / "l")
        assert lacking.folder.settle(now=True) == {}

    def test_a_folder_comes_and_goes(self, lacking: End) -> None:
        assert lacking.change(b"a", folder(0o750)) == ""
        assert (lacking.root / "a").stat().st_mode & 0o777 == 0o750
        (lacking.root / "a" / "f").write_bytes(b"x")
        assert lacking.folder.settle(now=True) == {b"a/f": file(b"x")}, "it is watched"
        (lacking.root / "a" / "f").unlink()
        lacking.folder.settle(now=True)
        assert lacking.change(b"a", None) == ""
        assert lacking.folder.tree == {}

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_only_the_mode_changes(self, end: End, kind: str) -> None:
        end.write("a/f", b"x")
        path = b"a/f" if kind == "file" else b"a"
        inode = (end.root / os.fsdecode(path)).stat().st_ino
        old = end.folder.tree[path]
        assert end.change(path, Entry(old.kind, old.content, 0o700, old.size)) == ""
        found = (end.root / os.fsdecode(path)).stat()
        assert (found.st_mode & 0o777, found.st_ino) == (0o700, inode)
        assert trashed(end) == {}
        assert end.folder.settle(now=True) == {}

    @pytest.mark.parametrize("new", ["folder", "link", "file"])
    @pytest.mark.parametrize("old", ["folder", "link", "file"])
    def test_one_kind_becomes_another(self, lacking: End, old: str, new: str) -> None:
        entries = {"folder": folder(), "link": link(b"x"), "file": file(b"text", 0o600)}
        brought = {"folder": None, "link": None, "file": b"text"}
        assert lacking.change(b"f", entries[old], brought[old]) == ""
        assert lacking.change(b"f", entries[new], brought[new]) == ""
        assert lacking.folder.tree == {b"f": entries[new]}
        assert lacking.folder.settle(now=True) == {}
        assert lacking.tree() == {b"f": entries[new]}
        assert list((lacking.root / ".relay" / "stage").iterdir()) == []

    def test_names_that_are_no_text(self, end: End) -> None:
        assert end.change(b"\xff\xfe/", folder()) != ""
        assert end.change(b"\xff\xfe", folder()) == ""
        assert end.change(b"\xff\xfe/\n", file(b"x"), b"x") == ""
        assert end.tree() == {b"\xff\xfe": folder(), b"\xff\xfe/\n": file(b"x")}


class TestRefused:
    def test_what_changed_meanwhile_stays(self, lacking: End) -> None:
        lacking.write("f", b"old")
        (lacking.root / "f").write_bytes(b"mine")
        assert lacking.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert lacking.change(b"f", None) == "changed meanwhile"
        assert (lacking.root / "f").read_bytes() == b"mine"
        assert lacking.folder.settle(now=True) == {b"f": file(b"mine")}

    def test_what_came_meanwhile_stays(self, lacking: End) -> None:
        (lacking.root / "f").write_bytes(b"mine")
        assert lacking.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert (lacking.root / "f").read_bytes() == b"mine"

    def test_what_went_meanwhile_does_not_come_back(self, end: End) -> None:
        end.write("f", b"old")
        (end.root / "f").unlink()
        assert end.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert end.change(b"f", None) == "", "it is what was wanted"
        assert end.folder.tree == {}

    @pytest.mark.parametrize("what", ["f", "a", "l"])
    def test_another_mode_or_target_is_a_change(self, end: End, what: str) -> None:
        end.write("f", b"x")
        (end.root / "a").mkdir()
        (end.root / "l").symlink_to("x")
        end.folder.settle(now=True)
        if what == "l":
            (end.root / "l").unlink()
            (end.root / "l").symlink_to("y")
        else:
            (end.root / what).chmod(0o700)
        assert end.change(what.encode(), None) == "changed meanwhile"

    def test_a_change_that_was_made_already_is_no_mistake(self, end: End) -> None:
        """As after a power cut, when the change was durable and its record was not."""
        for _ in range(2):
            old, new = file(b"old"), file(b"new")
            (end.root / "f").write_bytes(b"new")
            os.utime(end.root / "f", ns=(10**18, 10**18))
            assert end.folder.commit([(Change(b"f", old, new), b"new")]) == [""]
            assert end.folder.commit([(Change(b"f", None, new), b"new")]) == [""]
            assert trashed(end) == {}

    def test_a_file_is_not_replaced_under_its_writer(self, lacking: End) -> None:
        lacking.write("f", b"old-")
        with Program(OPEN, lacking.root / "f") as program:
            assert lacking.change(b"f", file(b"new"), b"new") == "is being written"
            assert lacking.change(b"f", None) == "is being written"
            program.step()
        assert (lacking.root / "f").read_bytes() == b"late"
        assert trashed(lacking) == {}

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("a/.venv/x.py", ".venv (is not kept equal)"),
            ("a/new", "new (is not kept equal)"),
            ("a/pipe", "pipe (is a pipe)"),
        ],
    )
    def test_a_folder_with_anything_unknown_in_it_stays(
        self, end: End, path: str, said: str
    ) -> None:
        end.write("a/f", b"x")
        (end.root / path).parent.mkdir(exist_ok=True)
        if path == "a/pipe":
            os.mkfifo(end.root / path)
            end.folder.settle(now=True)
        else:
            (end.root / path).write_bytes(b"mine")
        known = end.folder.tree
        batch = [(Change(p, known[p], None), None) for p in (b"a/f", b"a")]
        assert end.folder.commit(batch) == ["", f"stays: {said} in it"]
        assert (end.root / path).exists()

    def test_what_is_ignored_here_is_not_touched(self, end: End) -> None:
        assert end.change(b".git", folder()) == "is ignored here"
        assert end.change(b"a/.venv/x", file(b"x"), b"x") == "is ignored here"

    def test_a_file_that_is_too_large_does_not_come(self, tmp_path: Path) -> None:
        with End(tmp_path, Rules(largest=10)) as end:
            assert end.change(b"f", file(b"x" * 11), b"x" * 11) == "is larger than 10 bytes"

    def test_what_arrives_damaged_does_not_come(self, end: End) -> None:
        assert end.change(b"f", file(b"right"), b"wrong") == "arrived damaged"
        assert end.change(b"f", file(b"right")) == "has no content"
        assert set(end.root.iterdir()) == {end.root / ".relay"}

    def test_a_name_that_is_too_long_is_for_ever_too_long(self, end: End) -> None:
        assert end.change(b"x" * 256, file(b""), b"") == "has a name that is too long for this disk"
        assert end.folder.excluded(b"x" * 256) == "has a name that is too long for this disk"
        assert b"x" * 256 in end.folder.skipped

    def test_its_folder_is_not_there(self, end: End) -> None:
        assert end.change(b"a/f", file(b"x"), b"x") == "its folder is not there"

    def test_the_rest_of_the_batch_is_made(self, end: End) -> None:
        end.write("b", b"mine")
        batch = [(Change(p, None, file(p)), p) for p in (b"a", b"b", b"c")]
        assert end.folder.commit(batch) == ["", "changed meanwhile", ""]
        assert (end.root / "c").read_bytes() == b"c"

    def test_other_changes_seen_meanwhile_are_still_told(self, end: End) -> None:
        (end.root / "g").write_bytes(b"mine")
        assert end.change(b"f", file(b"x"), b"x") == ""
        assert end.folder.settle(now=True) == {b"g": file(b"mine")}


class TestBatches:
    def test_a_whole_tree_comes_and_goes(self, end: End, other: End) -> None:
        for number in range(60):
            end.write(f"a{number % 3}/b{number % 5}/f{number}", os.urandom(number))
        (end.root / "a0" / "ro").mkdir(mode=0o500)
        (end.root / "a0" / "l").symlink_to("..")
        end.write("big", os.urandom(300_000))
        end.folder.settle(now=True)
        assert mirror(end.folder, other.folder) == []
        assert other.folder.tree == end.folder.tree
        assert other.folder.settle(now=True) == {}
        assert other.tree() == end.folder.tree
        for name in ("a0", "a1", "a2"):
            shutil.rmtree(end.root / name)
        end.folder.settle(now=True)
        assert mirror(end.folder, other.folder) == []
        assert other.tree() == end.folder.tree
        assert list((other.root / ".relay" / "stage").iterdir()) == []

    def test_what_comes_into_a_new_folder_later_is_heard(self, end: End) -> None:
        batch = [
            (Change(b"a", None, folder()), None),
            (Change(b"a/b", None, folder()), None),
            (Change(b"a/b/f", None, file(b"x")), b"x"),
        ]
        assert end.folder.commit(batch) == ["", "", ""]
        (end.root / "a/b/g").write_bytes(b"y")
        assert end.folder.settle(now=True) == {b"a/b/g": file(b"y")}

    def test_a_new_folder_that_is_there_already_is_filled_once_it_is_known(self, end: End) -> None:
        (end.root / "a/b").mkdir(parents=True)
        (end.root / "a/b/mine").write_bytes(b"mine")
        batch = [
            (Change(b"a", None, folder()), None),
            (Change(b"a/b", None, folder(0o700)), None),
            (Change(b"a/b/f", None, file(b"x")), b"x"),
            (Change(b"a/c", None, folder()), None),
            (Change(b"a/c/d", None, folder()), None),
            (Change(b"a/c/d/f", None, file(b"y")), b"y"),
            (Change(b"a/b/mine", None, file(b"yours")), b"yours"),
        ]
        no = "changed meanwhile"
        assert end.folder.commit(batch) == ["", no, no, "", "", "", no]
        end.folder.settle(now=True)
        assert end.folder.commit(batch[2:3]) == [""]
        assert (end.root / "a/b/f").read_bytes() == b"x"
        assert (end.root / "a/c/d/f").read_bytes() == b"y"
        assert (end.root / "a/b/mine").read_bytes() == b"mine"
        (end.root / "a/c/d/g").write_bytes(b"z")
        end.folder.settle(now=True)
        assert end.folder.tree == end.tree()

    def test_a_folder_may_go_before_what_is_in_it(self, end: End) -> None:
        end.write("a/b/f", b"x")
        known = dict(end.folder.tree)
        batch = [(Change(p, known[p], None), None) for p in (b"a/b/f", b"a", b"a/b")]
        assert end.folder.commit(batch) == ["", "", ""]
        (end.root / "a/b").mkdir(parents=True)
        end.folder.settle(now=True)
        batch = [
            (Change(b"a", known[b"a"], file(b"now a file")), b"now a file"),
            (Change(b"a/b", known[b"a/b"], None), None),
        ]
        assert end.folder.commit(batch) == ["", ""]
        assert end.tree() == {b"a": file(b"now a file")}

    def test_a_path_that_is_displaced_twice_is_kept_twice(self, end: End) -> None:
        end.write("f", b"1")
        batch = [
            (Change(b"f", file(b"1"), file(b"2")), b"2"),
            (Change(b"f", file(b"2"), file(b"3")), b"3"),
            (Change(b"f", file(b"3"), None), None),
            (Change(b"f", None, folder()), None),
            (Change(b"f/g", None, file(b"4")), b"4"),
            (Change(b"f/g", file(b"4"), None), None),
        ]
        assert end.folder.commit(batch) == [""] * 6
        found = [each.path for each in end.folder.trash.list()]
        assert sorted(found) == [b"f", b"f", b"f", b"f/g"]

    def test_what_fits_nowhere_is_said_before_anything_is_done(
        self, small_disk: Callable[..., Path]
    ) -> None:
        with End(small_disk("-t", "tmpfs", "-o", "size=1m", "tmpfs")) as end:
            batch = [
                (Change(b"%d" % n, None, file(b"%d" % n * 60_000)), b"%d" % n * 60_000)
                for n in range(9)
            ] * 3
            with pytest.raises(NoSpaceError, match=r"no space for .* are free; make room there"):
                end.folder.commit(batch)
            assert set(end.root.iterdir()) == {end.root / ".relay"}


class TestOpenedMeanwhile:
    """A writer that no lease told of: another user's, or on a disk without leases."""

    def test_what_it_writes_after_comes_back_beside(self, end: End) -> None:
        end.write("a/f.txt", b"old-")
        end.folder._open_parts.taker.leases = False
        with Program(OPEN, end.root / "a/f.txt") as program:
            assert end.change(b"a/f.txt", file(b"new"), b"new") == ""
            program.step()
            end.until(lambda: end.folder.late)
            end.until(lambda: len(end.folder.tree) == 3)
        copy = end.folder.late[b"a/f.txt"]
        assert copy.startswith(b"a/f.conflict-late-")
        assert copy.endswith(b".txt")
        assert end.folder.tree[copy] == file(b"late")
        assert (end.root / "a/f.txt").read_bytes() == b"new"
        assert trashed(end) == {}

    def test_it_comes_back_also_when_its_folder_is_gone(self, end: End) -> None:
        end.write("a/f", b"old-")
        end.folder._open_parts.taker.leases = False
        with Program(OPEN, end.root / "a/f") as program:
            assert end.change(b"a/f", None) == ""
            assert end.change(b"a", None) == ""
            program.step()
            end.until(lambda: end.folder.late)
        assert (end.root / os.fsdecode(end.folder.late[b"a/f"])).read_bytes() == b"late"


class Meddling(Exchange):
    """The real renames; before some of them somebody else does something."""

    def __init__(self, *before: Callable[[], object] | None, swaps: bool = True) -> None:
        super().__init__(swaps=swaps)
        self.before = list(before)

    def swap(self, source: int, old: bytes, folder: int, new: bytes) -> None:
        self.meddle()
        super().swap(source, old, folder, new)

    def create(self, source: int, old: bytes, folder: int, new: bytes) -> None:
        if not self.swaps:
            self.meddle()
        super().create(source, old, folder, new)

    def meddle(self) -> None:
        if self.before:
            act = self.before.pop(0)
            if act is not None:
                act()


class TestInTheVeryMoment:
    """Somebody is quicker than the look before the rename, which is why there is one after it."""

    @pytest.fixture(params=[True, False])
    def swaps(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    def meddle(self, end: End, *before: Callable[[], object] | None, swaps: bool) -> None:
        end.folder._open_parts.exchange = Meddling(*before, swaps=swaps)

    def put(self, end: End, data: bytes) -> Callable[[], object]:
        """Replace the file as careful programs do."""

        def act() -> None:
            (end.place / "draft").write_bytes(data)
            (end.place / "draft").rename(end.root / "f")

        return act

    def contents(self, end: End) -> set[bytes]:
        """All that is anywhere."""
        found = [path for path in end.root.iterdir() if path.is_file()]
        return {path.read_bytes() for path in found} | set(trashed(end).values())

    def test_another_file_in_its_place_stays_there(self, end: End, swaps: bool) -> None:
        end.write("f", b"old")
        self.meddle(end, self.put(end, b"mine"), swaps=swaps)
        assert end.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert (end.root / "f").read_bytes() == b"mine"
        assert trashed(end) == {}
        end.folder.settle(now=True)
        assert end.folder.tree == {b"f": file(b"mine")}

    def test_what_is_written_into_it_stays_there(self, end: End, swaps: bool) -> None:
        end.write("f", b"old")
        self.meddle(end, lambda: (end.root / "f").write_bytes(b"mee"), swaps=swaps)
        assert end.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert (end.root / "f").read_bytes() == b"mee"

    def test_who_just_opens_it_to_write_keeps_it(self, end: End, swaps: bool) -> None:
        end.write("f", b"old-")
        opened: list[Program] = []
        self.meddle(end, lambda: opened.append(Program(OPEN, end.root / "f")), swaps=swaps)
        assert end.change(b"f", file(b"new"), b"new") == "is being written"
        opened[0].step()
        opened[0].__exit__()
        assert (end.root / "f").read_bytes() == b"late"

    def test_a_folder_that_is_just_filled_stays(self, end: End, swaps: bool) -> None:
        (end.root / "f").mkdir()
        end.folder.settle(now=True)
        self.meddle(end, lambda: (end.root / "f/g").write_bytes(b"mine"), swaps=swaps)
        assert end.change(b"f", file(b"new"), b"new").startswith("stays: ")
        assert (end.root / "f/g").read_bytes() == b"mine"
        assert end.folder.settle(now=True) == {b"f/g": file(b"mine")}

    def test_a_folder_in_the_place_of_a_file_stays(self, end: End, swaps: bool) -> None:
        def act() -> None:
            (end.root / "f").unlink()
            (end.root / "f").mkdir()
            (end.root / "f/g").write_bytes(b"mine")

        end.write("f", b"old")
        self.meddle(end, act, swaps=swaps)
        assert end.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert (end.root / "f/g").read_bytes() == b"mine"

    def test_one_that_just_went_stays_away(self, end: End, swaps: bool) -> None:
        end.write("f", b"old")
        self.meddle(end, (end.root / "f").unlink, swaps=swaps)
        assert end.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert not (end.root / "f").exists()
        assert not list((end.root / ".relay/stage").iterdir())

    def test_quick_twice_and_the_name_is_gone(self, end: End) -> None:
        """What came out is somebody's, and where it was is free: it goes there."""
        end.write("f", b"old")
        self.meddle(end, self.put(end, b"mine"), (end.root / "f").unlink, swaps=True)
        assert end.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert (end.root / "f").read_bytes() == b"mine"

    def test_quick_twice_and_both_are_somebodys(self, end: End) -> None:
        """What came out goes back; what took the place of the draft meanwhile comes beside it."""
        end.write("f", b"old")
        self.meddle(end, self.put(end, b"mine"), self.put(end, b"mine too"), swaps=True)
        assert end.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert self.contents(end) == {b"mine", b"mine too"}
        assert trashed(end) == {}
        end.folder.settle(now=True)
        assert len(end.folder.tree) == 2

    @pytest.mark.parametrize("what", ["replaced", "removed"])
    def test_quick_twice_and_the_name_is_taken(self, end: End, what: str) -> None:
        """What came out, and what took its name, are both somebody's: both stay."""
        end.write("f", b"old")
        acts = self.put(end, b"mine"), self.put(end, b"mine too")
        self.meddle(end, *acts, swaps=False)
        new = file(b"new") if what == "replaced" else None
        assert end.change(b"f", new, b"new" if new else None) == "changed meanwhile"
        assert self.contents(end) == {b"mine", b"mine too"}
        end.folder.settle(now=True)
        assert len(end.folder.tree) == 2

    def test_one_that_comes_while_the_name_is_free_stays(self, end: End) -> None:
        end.write("f", b"old")
        self.meddle(end, None, self.put(end, b"mine"), swaps=False)
        assert end.change(b"f", file(b"new"), b"new") == "changed meanwhile"
        assert self.contents(end) == {b"mine", b"old"}
        assert trashed(end) == {b"f": b"old"}


class TestSeen:
    """What others see while changes are made."""

    def test_a_reader_never_meets_half_of_a_file(self, end: End) -> None:
        """The name always stands for one whole version."""
        code = """
import collections, hashlib
seen, bad = 0, 0
done()
while not os.path.exists(sys.argv[2]):
    try:
        data = open(sys.argv[1], "rb").read()
    except FileNotFoundError:
        bad += 1
        continue
    seen += 1
    bad += len(data) != 50_000 or len(set(data)) != 1
print(seen, bad, flush=True)
done()
"""
        end.write("f", b"\0" * 50_000)
        stop = end.place / "stop"
        with Program(code, end.root / "f", stop) as program:
            assert program._process.stdin is not None
            assert program._process.stdout is not None
            program._process.stdin.write(b"\n")
            program._process.stdin.flush()
            for number in range(1, 201):
                data = bytes([number]) * 50_000
                assert end.change(b"f", file(data), data) == ""
            stop.touch()
            seen, bad = program._process.stdout.readline().split()
        assert int(seen) > 100
        assert int(bad) == 0

    def test_a_program_that_writes_all_the_time_loses_nothing(self, end: End) -> None:
        """Each version it wrote is in its place, in the trash, or replaced by itself."""
        code = """
done()
for number in range(400):
    with open(sys.argv[1] + ".tmp", "wb") as out:
        out.write(b"mine %d" % number)
    os.rename(sys.argv[1] + ".tmp", sys.argv[1])
done()
"""
        end.write("f", b"first")
        lost = 0
        with Program(code, end.root / "f") as program:
            assert program._process.stdin is not None
            program._process.stdin.write(b"\n")
            program._process.stdin.flush()
            made = 0
            for number in range(400):
                end.folder.settle(now=True)
                data = b"yours %d" % number
                old = end.folder.tree.get(b"f")
                if old is not None and not end.change(b"f", file(data), data):
                    made += 1
                    lost += old.content not in {file(c).content for c in [*trashed(end).values()]}
                    shutil.rmtree(end.root / ".relay/trash")
                    (end.root / ".relay/trash").mkdir()
                    end.reopen()
            program._heard()
        assert made > 0
        assert lost == 0


KILLED = """
import os, sys
from pathlib import Path
from relay_kernel.core.reconcile import Change
from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import digest
from relay_kernel.files.folder import Folder
from relay_kernel.files.parts import Folds
from relay_kernel.files.rules import Rules
place = Path(sys.argv[1])
folder = Folder(place / "root", place / "state", Rules())
folder.open(); folder.scan()
print("ready", flush=True)
for turn in range(1000):
    batch = []
    for path, old in sorted(folder.tree.items()):
        data = bytes(path) + b" %d " % turn * 50
        batch.append((Change(path, old, Entry(Kind.FILE, digest(data), 0o644, len(data))), data))
    top = b"new%d" % turn
    batch.append((Change(top, None, Entry(Kind.FOLDER, mode=0o755)), None))
    for number in range(5):
        new = Entry(Kind.FILE, digest(b"n"), 0o644, 1)
        batch.append((Change(top + b"/%d" % number, None, new), b"n"))
    assert not any(folder.commit(batch)), folder.commit(batch)
    for number in range(5):
        folder.commit([(Change(top + b"/%d" % number, new, None), None)])
    folder.commit([(Change(top, Entry(Kind.FOLDER, mode=0o755), None), None)])
"""


@pytest.mark.parametrize("after", [0.01, 0.04, 0.09, 0.15, 0.23])
def test_a_commit_that_is_killed_leaves_whole_files(end: End, after: float) -> None:
    names = [f"f{number}" for number in range(40)]
    for name in names:
        (end.root / name).write_bytes(name.encode() + b" first ")
    end.folder.close()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(end.place)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    deadline = time.monotonic() + after
    while time.monotonic() < deadline:
        assert process.poll() is None
    process.kill()
    process.communicate()
    end.folder = end.folder.__class__(end.root, end.state, Rules())
    end.folder.open()
    end.folder.scan()
    assert list((end.root / ".relay" / "stage").iterdir()) == []
    versions = [*trashed(end).items()]
    for name in names:
        data = (end.root / name).read_bytes()
        versions.append((name.encode(), data))
        turn = data.split()[1]
        assert data in {name.encode() + b" %s " % turn * 50, name.encode() + b" first "}
        # Whatever it is now, the first version is still somewhere.
        assert (name.encode(), name.encode() + b" first ") in versions or turn == b"first"
    whole = {b"n"}
    for path, data in versions:
        assert data in whole or data.startswith(path + b" ")


READ_ONLY = """
import sys
from pathlib import Path
from relay_kernel.core.reconcile import Change
from tests.files.rig import End, file, folder
place = Path(sys.argv[1])
(place / "root" / "a").mkdir(parents=True)
(place / "root" / "a" / "f").write_bytes(b"x")
(place / "root" / "a").chmod(0o555)
with End(place) as end:
    batch = [
        (Change(b"a/g", None, file(b"y")), b"y"),
        (Change(b"a/f", file(b"x"), None), None),
        (Change(b"b", None, folder(0o500)), None),
        (Change(b"b/f", None, file(b"z", 0o444)), b"z"),
    ]
    assert end.folder.commit(batch) == [""] * 4
    assert (end.root / "a").stat().st_mode & 0o777 == 0o555
    assert (end.root / "b").stat().st_mode & 0o777 == 0o500
    assert end.folder.settle(now=True) == {}
    (end.root / "b" / "f").chmod(0)
    (end.root / "a").chmod(0)
    gone = end.folder.settle(now=True)
    assert gone == {b"a": None, b"a/g": None, b"b/f": None}, gone
    denied = "cannot be read: Permission denied"
    assert end.folder.skipped == {b"a": denied, b"b/f": denied}
    assert end.folder.excluded(b"a/g") == denied
    assert "Permission denied" in end.change(b"a/h", file(b"y"), b"y")
    (end.root / "a").chmod(0o755)
    assert end.folder.settle(now=True) == {b"a": folder(), b"a/g": file(b"y")}
"""


def test_permissions_are_kept_and_stand_in_nobodys_way(tmp_path: Path) -> None:
    command = [sys.executable, "-c", READ_ONLY, str(tmp_path)]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may do everything, and needs setpriv to be like others")
        less = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--inh-caps={less}", f"--bounding-set={less}", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


class TestExchange:
    def test_it_is_found_out_what_a_disk_can_do(self, end: End) -> None:
        found = Exchange.probe(end.folder._root.stage)
        assert (found.creates, found.swaps) == (True, True)
        assert list((end.root / ".relay" / "stage").iterdir()) == []

    @pytest.mark.parametrize("creates", [True, False])
    @pytest.mark.parametrize("kind", ["file", "folder", "link"])
    def test_a_name_that_is_taken_is_never_overwritten(
        self, tmp_path: Path, kind: str, creates: bool
    ) -> None:
        if kind == "file":
            (tmp_path / "new").write_bytes(b"new")
        elif kind == "folder":
            (tmp_path / "new").mkdir()
        else:
            (tmp_path / "new").symlink_to("x")
        (tmp_path / "old").write_bytes(b"old")
        exchange = Exchange(creates=creates)
        fd = os.open(tmp_path, os.O_RDONLY)
        try:
            with pytest.raises(FileExistsError):
                exchange.create(fd, b"new", fd, b"old")
            exchange.create(fd, b"new", fd, b"free")
            with pytest.raises(FileNotFoundError):
                exchange.swap(fd, b"free", fd, b"none")
        finally:
            os.close(fd)
        assert (tmp_path / "old").read_bytes() == b"old"
        assert sorted(os.listdir(tmp_path)) == ["free", "old"]


def test_names_that_a_disk_may_take_for_one() -> None:
    form = Folds(form=True)
    assert form.same("caf\u00e9".encode(), "cafe\u0301".encode())
    assert not form.same(b"A", b"a")
    assert Folds(case=True).same(b"\xffA", b"\xffa")
    assert not Folds().names


def test_a_name_is_refused_beside_its_twin_until_that_is_gone(end: End) -> None:
    """As on a disk that takes both for one; this one does not, so the name is made beforehand."""
    end.folder._open_parts.folds = Folds(case=True)
    end.write("readme", b"x")
    (end.root / "README").write_bytes(b"x")
    reason = "cannot exist beside readme: to this disk the two names are one"
    assert end.change(b"README", file(b"y"), b"y") == reason
    assert end.folder.excluded(b"README") == reason
    assert end.folder.skipped == {b"README": reason}
    assert end.change(b"readme", None) == ""
    assert end.folder.excluded(b"README") == ""
    assert end.folder.skipped == {}


def test_a_disk_that_does_not_tell_upper_from_lower_case(
    small_disk: Callable[..., Path], tmp_path: Path
) -> None:
    if shutil.which("mkfs.vfat") is None:
        pytest.skip("needs mkfs.vfat (Debian: dosfstools)")
    with (tmp_path / "image").open("wb") as image:
        image.truncate(40 << 20)
    subprocess.run(["mkfs.vfat", str(tmp_path / "image")], check=True, capture_output=True)
    with End(small_disk("-o", "loop,umask=022", str(tmp_path / "image"))) as end:
        assert end.folder._open_parts.folds.case
        end.write("readme", b"x")
        mode = end.folder.tree[b"readme"].mode
        assert "cannot exist beside readme" in end.change(b"README", file(b"y", mode), b"y")
        assert "cannot exist beside readme" in end.folder.excluded(b"README")
        batch = [
            (Change(b"README", None, file(b"x", mode)), b"x"),
            (Change(b"readme", end.folder.tree[b"readme"], None), None),
        ]
        assert end.folder.commit(batch) == ["", ""]
        assert set(end.folder.tree) == {b"README"}
        assert not end.folder.excluded(b"README")
        assert end.change(b"a:b", file(b"x"), b"x") == "has a name that this disk cannot hold"
        assert end.folder.tree[b"README"].kind is Kind.FILE
