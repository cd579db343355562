"""What happens in a folder is heard, at no cost while nothing does."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from relay_kernel.files.folder import Folder
from relay_kernel.files.inotify import InotifyWatch
from relay_kernel.files.pending import AT_MOST, QUIET, Pending
from relay_kernel.files.rules import Rules
from relay_kernel.files.watching import NotifyWatch, is_shared
from tests.files.rig import PATIENCE, End, file, folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def watched(end: End) -> set[bytes]:
    watch = end.folder._open_parts.watch
    assert isinstance(watch, InotifyWatch)
    assert set(watch._watches) == set(watch._paths.values())
    return set(watch._watches)


def test_a_new_file_is_told_of_by_itself(end: End) -> None:
    (end.root / "f").write_bytes(b"x")
    assert end.until(lambda: b"f" in end.folder.tree) == {b"f": file(b"x")}
    (end.root / "f").unlink()
    assert end.until(lambda: b"f" not in end.folder.tree) == {b"f": None}


@pytest.mark.alone
def test_the_owner_may_be_called(tmp_path: Path) -> None:
    called: list[float] = []
    (tmp_path / "root").mkdir()
    one = Folder(tmp_path / "root", tmp_path / "state", Rules())
    one.open(lambda: called.append(time.monotonic()))
    one.scan()
    began = time.monotonic()
    (tmp_path / "root" / "f").write_bytes(b"x")
    assert one.dirty.wait(PATIENCE)
    assert one.settle() == {b"f": file(b"x")}
    one.close()
    assert len(called) == 1
    assert called[0] - began < 1.0


def test_now_means_now(end: End) -> None:
    for number in range(200):
        (end.root / f"f{number}").write_bytes(b"%d" % number)
        assert end.folder.settle(now=True) == {b"f%d" % number: file(b"%d" % number)}


@pytest.mark.alone
def test_nothing_to_look_at_costs_nothing(end: End) -> None:
    for number in range(100):
        end.write(f"d{number % 7}/f{number}")
    end.folder.settle(now=True)
    began = time.perf_counter()
    for _ in range(100):
        assert end.folder.settle(now=True) == {}
    assert (time.perf_counter() - began) / 100 < 0.001


def test_while_nothing_happens_nothing_is_done(end: End) -> None:
    end.write("a/f", b"x")
    while end.folder.dirty.wait(0.2):
        end.folder.settle()
    before = resource.getrusage(resource.RUSAGE_SELF)
    assert not end.folder.dirty.wait(1.0)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.02
    assert after.ru_nvcsw - before.ru_nvcsw < 10


def test_new_folders_are_watched_with_what_came_before_the_watch(end: End) -> None:
    (end.root / "a/b/c").mkdir(parents=True)
    (end.root / "a/b/c/f").write_bytes(b"x")
    end.folder.settle(now=True)
    assert watched(end) == {b"", b"a", b"a/b", b"a/b/c"}
    (end.root / "a/b/c/f").write_bytes(b"y")
    assert end.folder.settle(now=True) == {b"a/b/c/f": file(b"y")}


def test_ignored_folders_are_not_watched(end: End) -> None:
    for name in ("node_modules/a/b", ".venv/lib", "src"):
        (end.root / name).mkdir(parents=True)
    end.folder.settle(now=True)
    assert watched(end) == {b"", b"src"}
    (end.root / "src" / "x.swp").write_bytes(b"x")
    (end.root / "node_modules" / "x").write_bytes(b"x")
    assert end.folder._open_parts.watch.take(now=True) == ([], False)


class TestMoved:
    def test_a_folder_that_is_moved_is_heard_under_its_new_name(self, end: End) -> None:
        end.write("a/b/f", b"x")
        (end.root / "a").rename(end.root / "z")
        changed = end.folder.settle(now=True)
        assert set(changed) == {b"a", b"a/b", b"a/b/f", b"z", b"z/b", b"z/b/f"}
        (end.root / "z/b/f").write_bytes(b"y")
        assert end.folder.settle(now=True) == {b"z/b/f": file(b"y")}
        assert watched(end) == {b"", b"z", b"z/b"}

    def test_what_happens_in_it_just_before_and_after_is_not_lost(self, end: End) -> None:
        end.write("a/b/f", b"x")
        (end.root / "a/b/before").write_bytes(b"1")
        (end.root / "a").rename(end.root / "z")
        (end.root / "z/b/after").write_bytes(b"2")
        end.folder.settle(now=True)
        assert end.folder.tree == end.tree()

    def test_two_that_change_names(self, end: End) -> None:
        end.write("a/f", b"1")
        end.write("b/g", b"2")
        for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
            (end.root / old).rename(end.root / new)
        end.folder.settle(now=True)
        assert set(end.folder.tree) == {b"a", b"a/g", b"b", b"b/f"}
        (end.root / "a/g").write_bytes(b"3")
        (end.root / "b/f").write_bytes(b"4")
        assert end.folder.settle(now=True) == {b"a/g": file(b"3"), b"b/f": file(b"4")}

    def test_out_of_the_folder_and_back(self, end: End, tmp_path: Path) -> None:
        end.write("a/f", b"1")
        (end.root / "a").rename(tmp_path / "out")
        assert end.folder.settle(now=True) == {b"a": None, b"a/f": None}
        assert watched(end) == {b""}
        (tmp_path / "out/f").write_bytes(b"2")
        assert end.folder.settle(now=True) == {}
        (tmp_path / "out").rename(end.root / "a")
        assert end.folder.settle(now=True) == {b"a": folder(), b"a/f": file(b"2")}

    def test_replaced_by_another(self, end: End, tmp_path: Path) -> None:
        end.write("a/f", b"1")
        (tmp_path / "new").mkdir()
        (tmp_path / "new/g").write_bytes(b"2")
        shutil.rmtree(end.root / "a")
        (tmp_path / "new").rename(end.root / "a")
        assert end.folder.settle(now=True) == {b"a/f": None, b"a/g": file(b"2")}
        (end.root / "a/g").write_bytes(b"3")
        assert end.folder.settle(now=True) == {b"a/g": file(b"3")}


def test_more_than_the_kernel_can_tell_is_looked_for(end: End) -> None:
    watch = end.folder._open_parts.watch
    assert isinstance(watch, InotifyWatch)
    for name in "ab":
        (end.root / name).write_bytes(b"")
    with watch._hearing:
        for number in range(17000):
            os.utime(end.root / "ab"[number % 2])
        (end.root / "last").write_bytes(b"x")
    assert end.folder.settle(now=True)[b"last"] == file(b"x")


LIMITED = """
import sys, time
from pathlib import Path
Path("/proc/sys/user/max_inotify_{what}").write_text("{number}")
from relay_kernel.files import watch
watch.POLL = 0.05
from relay_kernel.files.folder import Folder
from relay_kernel.files.rules import Rules
root = Path(sys.argv[1]) / "root"
(root / "a/b/c/d").mkdir(parents=True)
folder = Folder(root, root.parent / "state", Rules())
folder.open()
folder.scan()
print(folder.notices)
(root / "a/b/c/d/f").write_bytes(b"x")
assert b"a/b/c/d/f" in folder.settle(now=True)
(root / "a/b/c/d/g").write_bytes(b"x")
while b"a/b/c/d/g" not in folder.tree:
    assert folder.dirty.wait(10)
    folder.settle()
folder.close()
"""


@pytest.mark.parametrize(
    ("what", "number", "said"),
    [
        ("watches", 3, "no more folders can be watched on this machine"),
        ("instances", 0, "it is looked through now and then; raise fs.inotify.max_user_instances"),
    ],
)
def test_where_nothing_more_can_be_watched_it_says_so_and_looks(
    tmp_path: Path, what: str, number: int, said: str
) -> None:
    code = LIMITED.format(what=what, number=number)
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", code, str(tmp_path)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command[:3], "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no user namespaces here")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_a_watch_that_fails_says_so_and_looks(
    end: End, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("relay_kernel.files.watch.POLL", 0.05)
    watch = end.folder._open_parts.watch

    def fail(path: bytes, folder: bool) -> bool:
        raise ValueError("a mistake")

    watch.ignored = fail
    (end.root / "f").write_bytes(b"x")
    end.until(lambda: b"f" in end.folder.tree)
    assert "the watch of a folder failed" in caplog.text
    watch.ignored = lambda path, folder: False


class TestElsewhere:
    """Where there is no inotify; here it can be tried all the same."""

    @pytest.fixture
    def ears(self, tmp_path: Path) -> Iterator[NotifyWatch]:
        watch = NotifyWatch(tmp_path)
        watch.start(lambda: None)
        yield watch
        watch.close()

    def test_changes_are_heard(self, ears: NotifyWatch, tmp_path: Path) -> None:
        pytest.importorskip("watchfiles")
        deadline = time.monotonic() + PATIENCE
        number = 0
        # It says not when it begins to listen.
        while not ears.pending.event.wait(0.2):
            assert time.monotonic() < deadline
            (tmp_path / f"f{number}").write_bytes(b"x")
            number += 1
        assert ears.take(now=False)[0]

    def test_now_is_a_full_look(self, ears: NotifyWatch) -> None:
        assert ears.take(now=True)[1]


def test_this_disk_is_nobody_elses(tmp_path: Path) -> None:
    assert not is_shared(tmp_path)


class TestPending:
    def test_a_path_is_due_when_it_has_been_quiet(self) -> None:
        pending = Pending()
        for tick in range(5):
            pending.mark(b"f", tick * QUIET / 2, QUIET)
        assert pending.take(3 * QUIET / 2, every=False) == ([], False)
        assert pending.due_in(2 * QUIET) == pytest.approx(QUIET)
        assert pending.ring(3 * QUIET)
        assert not pending.ring(3 * QUIET), "once is enough"
        assert pending.take(3 * QUIET, every=False) == ([b"f"], False)
        assert pending.due_in(9.0) is None

    def test_one_that_never_is_quiet_is_due_all_the_same(self) -> None:
        pending = Pending()
        for tick in range(50):
            pending.mark(b"f", tick * 0.01, QUIET)
        assert pending.take(AT_MOST - 0.01, every=False) == ([], False)
        assert pending.take(AT_MOST, every=False) == ([b"f"], False)

    def test_one_that_is_dear_to_look_at_waits(self) -> None:
        pending = Pending()
        pending.spare(b"f", 5.0)
        pending.mark(b"f", 0.0, QUIET)
        assert pending.take(4.9, every=False) == ([], False)
        assert pending.take(5.0, every=False) == ([b"f"], False)

    def test_now_takes_all(self) -> None:
        pending = Pending()
        pending.mark(b"f", 0.0, QUIET)
        pending.mark_at(b"g", 100.0)
        assert set(pending.take(0.0, every=True)[0]) == {b"f", b"g"}
