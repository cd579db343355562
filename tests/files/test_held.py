"""A file that is being written is never taken in half."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from relay_kernel.files.errors import ChangedError
from relay_kernel.files.take import SMALL, STEP
from relay_kernel.files.writing import is_written, only_appended
from tests.files.rig import End, Program, carry, file

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.core.tree import Entry

MIB = 1 << 20
#: Writes 3 MiB, stalls, and writes 3 MiB more.
STALLS = """
out = open(sys.argv[1], "wb")
out.write(b"a" * (3 << 20)); out.flush(); done()
out.write(b"b" * (3 << 20)); out.flush(); done()
out.close(); done()
"""


class TestWriters:
    def test_a_writer_is_seen(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"x")
        with (tmp_path / "f").open("rb") as reader:
            assert is_written(reader.fileno()) is False
            code = "out = open(sys.argv[1], 'r+b'); done(); out.close(); done()"
            with Program(code, tmp_path / "f") as program:
                assert is_written(reader.fileno()) is True
                program.step()
                assert is_written(reader.fileno()) is False

    def test_a_shared_mapping_is_a_writer_also_without_its_file(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(bytes(8192))
        code = (
            "out = open(sys.argv[1], 'r+b'); area = mmap.mmap(out.fileno(), 0)\n"
            "out.close(); done()\n"
            "area.close(); done()"
        )
        with (tmp_path / "f").open("rb") as reader, Program(code, tmp_path / "f") as program:
            assert is_written(reader.fileno()) is True
            program.step()
            assert is_written(reader.fileno()) is False

    def test_one_who_can_only_append_is_told_apart(self, tmp_path: Path) -> None:
        code = "out = open(sys.argv[1], sys.argv[2]); done()"
        with Program(code, tmp_path / "f", "ab"):
            assert only_appended((tmp_path / "f").stat())
            with Program(code, tmp_path / "f", "r+b"):
                assert not only_appended((tmp_path / "f").stat())
        assert not only_appended((tmp_path / "f").stat())

    def test_asking_disturbs_no_writer(self, tmp_path: Path) -> None:
        """A lease that a writer meets must neither kill us nor make the writer wait."""
        code = (
            "import time\nslowest = 0\ndone()\n"
            "for _ in range(3000):\n"
            "    began = time.monotonic(); open(sys.argv[1], 'ab').close()\n"
            "    slowest = max(slowest, time.monotonic() - began)\n"
            "print(slowest, flush=True); done()"
        )
        (tmp_path / "f").write_bytes(b"x")
        with (tmp_path / "f").open("rb") as reader, Program(code, tmp_path / "f") as program:
            assert program._process.stdin is not None
            program._process.stdin.write(b"\n")
            program._process.stdin.flush()
            assert program._process.stdout is not None
            os.set_blocking(program._process.stdout.fileno(), False)
            deadline = time.monotonic() + 20
            while not (said := program._process.stdout.read()):
                is_written(reader.fileno())
                assert time.monotonic() < deadline
            assert float(said.split()[0]) < 5


class TestCheckpoints:
    @pytest.fixture
    def good(self, end: End) -> Entry:
        """The last good version of a checkpoint, of 5 MiB."""
        end.write("ck.pt", os.urandom(5 * MIB))
        return end.folder.tree[b"ck.pt"]

    @pytest.mark.parametrize("before", ["good", "empty", "small", "none"])
    def test_one_that_stalls_half_way_is_not_taken(self, end: End, before: str) -> None:
        known = None
        if before != "none":
            size = {"good": 5 * MIB, "empty": 0, "small": 1000}[before]
            end.write("ck.pt", os.urandom(size))
            known = end.folder.tree[b"ck.pt"]
        with Program(STALLS, end.root / "ck.pt") as program:
            for _ in range(2):
                assert end.folder.settle(now=True) == {}
                assert end.folder.tree.get(b"ck.pt") == known
                assert end.folder.held == {b"ck.pt": "is being written"}
                program.step()
            changed = end.until(lambda: not end.folder.held)
        assert changed[b"ck.pt"] is not None
        assert changed[b"ck.pt"].size == 6 * MIB

    def test_one_that_is_only_emptied_so_far_is_not_taken(self, end: End, good: Entry) -> None:
        code = "out = open(sys.argv[1], 'wb'); done(); out.write(b'x'); out.close(); done()"
        with Program(code, end.root / "ck.pt") as program:
            assert end.folder.settle(now=True) == {}
            assert end.folder.tree == {b"ck.pt": good}
            program.step()
            assert end.folder.settle(now=True) == {b"ck.pt": file(b"x")}

    @pytest.mark.parametrize("mode", ["wb", "r+b"])
    def test_a_small_one_that_is_written_anew_is_not_taken_in_half(
        self, end: End, mode: str
    ) -> None:
        code = (
            f"out = open(sys.argv[1], {mode!r}); out.write(b'half of it, and more'); out.flush()\n"
            "done(); out.write(b' and the rest'); out.close(); done()"
        )
        end.write("f", b"the last")
        with Program(code, end.root / "f") as program:
            assert end.folder.settle(now=True) == {}
            assert end.folder.held == {b"f": "is being written"}
            program.step()
            end.until(lambda: end.folder.tree[b"f"] == file(b"half of it, and more and the rest"))

    def test_nor_by_a_new_process_that_meets_it_half(self, end: End) -> None:
        """The last look was too early to trust its times; what it saw is known all the same."""
        end.write("f", b"the last")
        code = (
            "out = open(sys.argv[1], 'wb'); out.write(b'half of it, and more'); out.flush(); done()"
        )
        with Program(code, end.root / "f"):
            end.reopen()
            assert end.folder.tree == {}
            assert end.folder.held == {b"f": "is being written"}

    def test_one_that_is_renamed_over_the_last_is_taken(self, end: End, good: Entry) -> None:
        (end.root / "ck.tmp").write_bytes(b"b" * MIB)
        (end.root / "ck.tmp").rename(end.root / "ck.pt")
        end.until(lambda: end.folder.tree.get(b"ck.pt") != good)
        assert set(end.folder.tree) == {b"ck.pt"}

    def test_one_that_is_written_through_a_mapping_waits_for_its_end(
        self, end: End, good: Entry
    ) -> None:
        code = (
            "out = open(sys.argv[1], 'r+b'); area = mmap.mmap(out.fileno(), 0)\n"
            "out.close(); done()\n"
            "area[:3] = b'abc'; done()\narea.close(); done()"
        )
        with Program(code, end.root / "ck.pt") as program:
            program.step()
            os.utime(end.root / "ck.pt")
            assert end.folder.settle(now=True) == {}
            assert b"ck.pt" in end.folder.held
            program.step()
            end.until(lambda: end.folder.tree[b"ck.pt"].content != good.content)

    def test_the_last_good_one_cannot_be_read_while_it_is_overwritten(
        self, end: End, good: Entry
    ) -> None:
        with Program(STALLS, end.root / "ck.pt"), pytest.raises(ChangedError, match=r"ck\.pt"):
            list(end.folder.read(b"ck.pt", good, [0]))

    def test_one_that_is_open_for_long_is_told_of(self, end: End) -> None:
        with Program(STALLS, end.root / "ck.pt"):
            end.folder.settle(now=True)
            assert end.folder.notices == []
            end.folder.held_since[b"ck.pt"] -= 100
            assert "ck.pt is being written since" in end.folder.notices[0]
            assert "it follows when it is closed" in end.folder.notices[0]
        end.until(lambda: not end.folder.held)
        assert end.folder.notices == []

    def test_one_that_goes_away_is_not_held_for_ever(self, end: End) -> None:
        with Program(STALLS, end.root / "ck.pt"):
            end.folder.settle(now=True)
            (end.root / "ck.pt").unlink()
            end.until(lambda: not end.folder.held)


class TestLogs:
    def test_what_is_appended_goes_over_while_the_log_is_open(self, end: End, other: End) -> None:
        data = os.urandom(2 * SMALL)
        end.write("train.log", data)
        with (end.root / "train.log").open("r+b") as log:
            log.seek(0, os.SEEK_END)
            for number in range(5):
                log.write(b"line %d\n" % number * 100)
                log.flush()
                end.until(lambda: end.folder.tree[b"train.log"].size == log.tell())
                carry(end.folder, b"train.log", other.folder).drop()
        assert end.folder.held == {}

    def test_a_new_one_streams_from_its_first_line(self, end: End) -> None:
        with (end.root / "train.log").open("wb") as log:
            for _ in range(20):
                log.write(b"x" * 10_000)
                log.flush()
                end.until(lambda: end.folder.tree.get(b"train.log", file(b"")).size == log.tell())

    def test_one_that_only_grows_by_its_nature_is_taken_at_any_size(self, end: End) -> None:
        with Program(
            "out = open(sys.argv[1], 'ab'); out.write(b'x' * (3 << 20)); out.flush(); done()",
            end.root / "train.log",
        ):
            end.folder.settle(now=True)
            assert end.folder.tree[b"train.log"].size == 3 * MIB

    def test_one_that_grows_faster_than_logs_do_may_be_a_checkpoint(self, end: End) -> None:
        with (end.root / "x").open("wb") as out:
            out.write(b"header")
            out.flush()
            end.folder.settle(now=True)
            assert end.folder.tree[b"x"].size == 6
            out.write(bytes(STEP + 1))
            out.flush()
            end.folder.settle(now=True)
            assert end.folder.tree[b"x"].size == 6
            assert b"x" in end.folder.held

    def test_one_whose_beginning_changes_is_no_log(self, end: End) -> None:
        end.write("x", os.urandom(2 * SMALL))
        known = end.folder.tree[b"x"]
        with (end.root / "x").open("r+b") as out:
            out.write(b"!")
            out.seek(0, os.SEEK_END)
            out.write(b"more")
            out.flush()
            assert end.folder.settle(now=True) == {}
            assert end.folder.tree[b"x"] == known


def test_a_small_file_goes_over_although_it_is_open(end: End) -> None:
    with (end.root / "f").open("wb") as out:
        out.write(b"half")
        out.flush()
        end.until(lambda: end.folder.tree.get(b"f") == file(b"half"))
        out.write(b" and half")
    end.until(lambda: end.folder.tree.get(b"f") == file(b"half and half"))


def test_where_nobody_can_tell_of_writers_a_file_must_have_been_left_alone(end: End) -> None:
    end.folder._open_parts.taker.leases = False
    (end.root / "f").write_bytes(bytes(MIB))
    end.folder.settle(now=True)
    assert end.folder.held == {b"f": "was changed a moment ago"}
    end.until(lambda: b"f" in end.folder.tree)
    assert end.folder.held == {}
