"""A file that arrives is whole or not there, and what is here already is not sent again."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core.reconcile import Change
from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.digest import CHUNK, digest
from relay_kernel.files.errors import ChangedError, DamagedError, NoSpaceError
from relay_kernel.files.folder import Source
from relay_kernel.files.rules import Rules
from tests.files.rig import End, Program, carry, file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONG = 5 * CHUNK + 1000


def wanted(source: End, path: bytes, target: End, like: bytes | None = None) -> list[int]:
    """Which pieces would have to be sent."""
    entry = source.folder.tree[path]
    staging = target.folder.stage(entry, like)
    numbers = staging.wants(source.folder.pieces(path, entry))
    staging.drop()
    return numbers


def staged(end: End) -> list[str]:
    return sorted(os.listdir(end.root / ".relay" / "stage"))


def test_a_long_file_arrives(end: End, other: End) -> None:
    data = os.urandom(LONG)
    end.write("f", data)
    (end.root / "f").chmod(0o751)
    os.utime(end.root / "f", ns=(1, 1_234_567_890_123_456_789))
    end.folder.settle(now=True)
    staging = carry(end.folder, b"f", other.folder)
    assert not (other.root / "f").exists()
    assert other.change(b"f", end.folder.tree[b"f"], staging) == ""
    found = (other.root / "f").stat()
    assert (other.root / "f").read_bytes() == data
    assert (found.st_mode & 0o777, found.st_mtime_ns) == (0o751, 1_234_567_890_123_456_789)
    assert other.folder.tree == end.folder.tree
    assert other.folder.settle(now=True) == {}
    assert staged(other) == []
    assert other.folder.pieces(b"f", other.folder.tree[b"f"]) == end.folder.pieces(
        b"f", end.folder.tree[b"f"]
    )


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_any_size_arrives(end: End, other: End, size: int) -> None:
    end.write("f", os.urandom(size))
    assert other.change(b"f", end.folder.tree[b"f"], carry(end.folder, b"f", other.folder)) == ""
    assert (other.root / "f").read_bytes() == (end.root / "f").read_bytes()


def test_only_changed_pieces_are_wanted(end: End, other: End) -> None:
    data = os.urandom(LONG)
    end.write("f", data)
    other.write("f", data)
    with (end.root / "f").open("r+b") as out:
        out.seek(2 * CHUNK + 5)
        out.write(b"changed")
    end.folder.settle(now=True)
    assert wanted(end, b"f", other, b"f") == [2]
    assert wanted(end, b"f", other) == [0, 1, 2, 3, 4, 5]
    staging = carry(end.folder, b"f", other.folder, b"f")
    assert other.change(b"f", end.folder.tree[b"f"], staging) == ""
    assert (other.root / "f").read_bytes() == (end.root / "f").read_bytes()


def test_what_is_here_under_another_name_is_not_sent(end: End, other: End) -> None:
    end.write("moved/here", os.urandom(LONG))
    other.write("was/there", (end.root / "moved/here").read_bytes())
    entry = end.folder.tree[b"moved/here"]
    assert other.folder.find(entry) == Source(b"was/there")
    assert wanted(end, b"moved/here", other) == []
    assert other.change(b"was/there", None) == ""
    found = other.folder.find(entry)
    assert found is not None
    assert found.path == b"was/there"
    assert found.when, "it is in the trash"
    assert wanted(end, b"moved/here", other) == []
    assert other.folder.find(file(b"unknown")) is None
    assert other.folder.find(Entry(Kind.FOLDER)) is None


def test_what_is_here_no_more_is_sent(end: End, other: End) -> None:
    end.write("f", os.urandom(LONG))
    other.write("g", (end.root / "f").read_bytes())
    (other.root / "g").write_bytes(os.urandom(LONG))
    assert len(wanted(end, b"f", other)) == 6


def test_a_cut_costs_only_what_had_not_arrived(end: End, other: End) -> None:
    end.write("f", os.urandom(LONG))
    entry = end.folder.tree[b"f"]
    pieces = end.folder.pieces(b"f", entry)
    staging = other.folder.stage(entry, None)
    assert staging.wants(pieces) == [0, 1, 2, 3, 4, 5]
    for number, data in zip([0, 3], end.folder.read(b"f", entry, [0, 3]), strict=True):
        staging.put(number, data)
    with pytest.raises(DamagedError, match="4 pieces have not arrived"):
        staging.finish()
    staging.leave()
    again = other.reopen().stage(entry, None)
    assert again.wants(pieces) == [1, 2, 4, 5]
    again.drop()
    assert staged(other) == []


def test_two_of_the_same_may_arrive_at_once(end: End, other: End) -> None:
    end.write("f", os.urandom(LONG))
    entry = end.folder.tree[b"f"]
    first = other.folder.stage(entry, None)
    second = carry(end.folder, b"f", other.folder)
    numbers = first.wants(end.folder.pieces(b"f", entry))
    for number, data in zip(numbers, end.folder.read(b"f", entry, numbers), strict=True):
        first.put(number, data)
    first.finish()
    batch = [(Change(b"f", None, entry), first), (Change(b"g", None, entry), second)]
    assert other.folder.commit(batch) == ["", ""]
    assert (other.root / "f").read_bytes() == (other.root / "g").read_bytes()


def test_what_arrives_damaged_is_not_taken(end: End, other: End) -> None:
    end.write("f", os.urandom(LONG))
    entry = end.folder.tree[b"f"]
    pieces = end.folder.pieces(b"f", entry)
    staging = other.folder.stage(entry, None)
    with pytest.raises(DamagedError, match="not that of the file"):
        staging.wants(pieces[::-1])
    staging.wants(pieces)
    with pytest.raises(DamagedError, match="a piece arrived damaged"):
        staging.put(0, bytes(CHUNK))
    assert other.change(b"f", entry, staging) == "has not arrived whole"
    staging.drop()


def test_what_was_not_committed_may_be_committed_later(end: End, other: End) -> None:
    end.write("f", os.urandom(LONG))
    other.write("f", b"mine")
    (other.root / "f").write_bytes(b"newer")
    staging = carry(end.folder, b"f", other.folder)
    assert other.change(b"f", end.folder.tree[b"f"], staging) == "changed meanwhile"
    other.folder.settle(now=True)
    assert other.change(b"f", end.folder.tree[b"f"], staging) == ""
    assert staged(other) == []


class TestHoles:
    def test_they_stay_holes(self, end: End, other: End) -> None:
        with (end.root / "f").open("wb") as out:
            out.truncate(64 << 20)
            out.seek(32 << 20)
            out.write(b"here")
        end.folder.settle(now=True)
        assert wanted(end, b"f", other) == [128]
        staging = carry(end.folder, b"f", other.folder)
        assert other.change(b"f", end.folder.tree[b"f"], staging) == ""
        assert (other.root / "f").stat().st_blocks * 512 < 2 << 20
        assert (other.root / "f").read_bytes() == (end.root / "f").read_bytes()

    def test_a_hole_over_what_had_arrived_is_zeros(self, end: End, other: End) -> None:
        """The stage has the file of a cut, under the right name, with other bytes in it."""
        end.write("f", bytes(LONG))
        entry = end.folder.tree[b"f"]
        other.folder.close()
        stage = other.root / ".relay" / "stage"
        (stage / f"part-{entry.content.hex()}").write_bytes(b"\1" * LONG)
        staging = carry(end.folder, b"f", other.reopen())
        assert other.change(b"f", entry, staging) == ""
        assert (other.root / "f").read_bytes() == bytes(LONG)


class TestFull:
    def test_it_is_said_before_anything_is_sent(
        self, end: End, small_disk: Callable[..., Path]
    ) -> None:
        end.write("f", os.urandom(3 << 20))
        with End(small_disk("-t", "tmpfs", "-o", "size=2m", "tmpfs")) as other:
            with pytest.raises(NoSpaceError, match=r"no space for 3 MiB, .* are free; make room"):
                other.folder.stage(end.folder.tree[b"f"], None)
            assert staged(other) == []

    def test_when_it_fills_up_meanwhile_nothing_half_stays(
        self, end: End, small_disk: Callable[..., Path]
    ) -> None:
        end.write("f", os.urandom(3 << 20))
        entry = end.folder.tree[b"f"]
        with End(small_disk("-t", "tmpfs", "-o", "size=4m", "tmpfs")) as other:
            staging = other.folder.stage(entry, None)
            numbers = staging.wants(end.folder.pieces(b"f", entry))
            (other.place / "fill").write_bytes(bytes(3 << 20))

            def send() -> None:
                for number, data in zip(
                    numbers, end.folder.read(b"f", entry, numbers), strict=True
                ):
                    staging.put(number, data)

            with pytest.raises(NoSpaceError, match="make room"):
                send()
            assert staged(other) == []

    def test_old_trash_makes_room(self, end: End, small_disk: Callable[..., Path]) -> None:
        end.write("f", os.urandom(3 << 20))
        with End(small_disk("-t", "tmpfs", "-o", "size=5m", "tmpfs")) as other:
            other.write("g", os.urandom(3 << 20))
            assert other.change(b"g", None) == ""
            with pytest.raises(NoSpaceError):
                other.folder.stage(end.folder.tree[b"f"], None)
            assert len(other.folder.trash.list()) == 1, "the newest stays"
            trash = other.root / ".relay" / "trash"
            (when,) = trash.iterdir()
            when.rename(trash / "20200101T000000.000000Z")
            carry(end.folder, b"f", other.folder).drop()
            assert other.folder.trash.list() == []


class TestServing:
    def test_a_file_that_has_changed_is_not_served_as_what_it_was(self, end: End) -> None:
        end.write("f", os.urandom(LONG))
        old = end.folder.tree[b"f"]
        (end.root / "f").write_bytes(os.urandom(LONG))
        with pytest.raises(ChangedError, match="f has changed meanwhile"):
            list(end.folder.read(b"f", old, [0]))
        (end.root / "f").unlink()
        with pytest.raises(ChangedError, match="f has changed meanwhile"):
            list(end.folder.read(b"f", old, [0]))

    def test_the_beginning_of_a_log_is_served_although_it_grows(self, end: End) -> None:
        end.write("f", os.urandom(LONG))
        old = end.folder.tree[b"f"]
        with (end.root / "f").open("ab") as log:
            log.write(b"more")
        assert len(list(end.folder.read(b"f", old, range(6)))) == 6
        end.folder.settle(now=True)
        assert len(list(end.folder.read(b"f", old, range(6)))) == 6

    def test_small_ones_are_served_at_once(self, end: End) -> None:
        end.write("a/f", b"text")
        entry = end.folder.tree[b"a/f"]
        assert end.folder.pieces(b"a/f", entry) == [digest(b"text")]
        assert list(end.folder.read(b"a/f", entry, [0])) == [b"text"]
        assert end.folder.contents([(b"a/f", entry), None]) == [b"text", None]
        (end.root / "a/f").write_bytes(b"other")
        assert end.folder.contents([(b"a/f", entry)]) == ["a/f has changed meanwhile"]

    def test_small_ones_that_were_just_read_are_not_read_again(self, end: End) -> None:
        end.write("f", b"text")
        entry = end.folder.tree[b"f"]
        (end.root / "f").unlink()
        assert end.folder.contents([(b"f", entry)]) == [b"text"]
        assert end.folder.contents([(b"f", entry)]) == ["f has changed meanwhile"]

    @pytest.mark.parametrize("path", [b"../root/f", b"/etc/passwd", b"l", b"d/f", b"p"])
    def test_what_is_no_file_in_the_folder_is_not_served(self, end: End, path: bytes) -> None:
        end.write("f", b"text")
        (end.root / "l").symlink_to("f")
        (end.root / "d").symlink_to(".")
        os.mkfifo(end.root / "p")
        (why,) = end.folder.contents([(path, file(b"text"))])
        assert isinstance(why, str)

    def test_a_piece_that_there_is_not_is_not_served(self, end: End) -> None:
        end.write("f", b"text")
        with pytest.raises(ChangedError):
            list(end.folder.read(b"f", end.folder.tree[b"f"], [1]))


@pytest.mark.parametrize("many", [3, 60])
def test_a_flush_is_for_all_that_is_there(end: End, many: int) -> None:
    for number in range(many):
        end.write(f"a/b{number % 4}/f{number}", b"x")
    (end.root / "l").symlink_to("f")
    end.folder.settle(now=True)
    (end.root / "a/b1/f1").unlink()
    end.folder.flush([*end.folder.tree, b"never/there"])


KILLED = """
from pathlib import Path
from relay_kernel.files.folder import Folder
from relay_kernel.files.rules import Rules
from relay_kernel.core.tree import Entry, Kind
source, place = Path(sys.argv[1]), Path(sys.argv[2])
one = Folder(source / "root", source / "third", Rules()); one.open(); one.scan()
two = Folder(place / "root", place / "state", Rules()); two.open(); two.scan()
entry = one.tree[b"f"]
staging = two.stage(entry, None)
numbers = staging.wants(one.pieces(b"f", entry))
for number, data in zip(numbers[:4], one.read(b"f", entry, numbers[:4])):
    staging.put(number, data)
done()
"""


def test_a_process_that_is_killed_leaves_what_had_arrived(end: End, other: End) -> None:
    end.write("f", os.urandom(LONG))
    end.folder.close()
    other.folder.close()
    with Program(KILLED, end.place, other.place) as program:
        os.kill(program._process.pid, signal.SIGKILL)
        program._process.wait()
    (other.root / ".relay" / "stage" / "new-1").write_bytes(b"half")
    end.reopen()
    other.reopen()
    assert [name[:5] for name in staged(other)] == ["part-"]
    assert wanted(end, b"f", other) == [4, 5]


def test_nothing_is_left_open(end: End, other: End) -> None:
    end.write("f", os.urandom(LONG))
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        carry(end.folder, b"f", other.folder).leave()
        list(end.folder.read(b"f", end.folder.tree[b"f"], [0]))
    staging = carry(end.folder, b"f", other.folder)
    other.change(b"f", end.folder.tree[b"f"], staging)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    end.folder.close()
    other.folder.close()
    assert len(os.listdir("/proc/self/fd")) < len(before)


#: The ioctl that stops an ext4 filesystem, and the flag for what a power cut leaves.
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2


@pytest.mark.parametrize("many", [3, 60])
def test_what_was_committed_or_flushed_survives_a_power_cut(
    small_disk: Callable[..., Path], tmp_path: Path, many: int
) -> None:
    import fcntl
    import struct

    with (tmp_path / "image").open("wb") as image:
        image.truncate(64 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(tmp_path / "image")], check=True)
    except FileNotFoundError:
        pytest.skip("needs mkfs.ext4")
    disk = small_disk("-o", "loop", str(tmp_path / "image"))
    with End(disk) as end:
        for number in range(many):
            end.write(f"old{number}", b"old")
        end.folder.flush(list(end.folder.tree))
        batch = [
            (Change(b"old%d" % n, file(b"old"), file(b"new %d" % n)), b"new %d" % n)
            for n in range(many)
        ]
        batch += [(Change(b"n%d" % n, None, file(b"%d" % n)), b"%d" % n) for n in range(many)]
        assert not any(end.folder.commit(batch))
        end.write("a/program", b"wrote this")
        end.folder.flush([b"a", b"a/program"])
        fd = os.open(disk, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError:
            pytest.skip("this filesystem cannot be cut")
        finally:
            os.close(fd)
    subprocess.run(["umount", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(tmp_path / "image"), str(disk)], check=True)
    with End(disk) as end:
        assert (end.root / "a/program").read_bytes() == b"wrote this"
        for number in range(many):
            assert (end.root / f"old{number}").read_bytes() == b"new %d" % number
            assert (end.root / f"n{number}").read_bytes() == b"%d" % number
        assert len(end.folder.trash.list()) == many


def test_a_size_limit_of_rules_holds_for_what_arrives(end: End, tmp_path: Path) -> None:
    end.write("f", os.urandom(LONG))
    with End(tmp_path / "third", Rules(largest=1000)) as other:
        staging = carry(end.folder, b"f", other.folder)
        assert "is larger than" in other.change(b"f", end.folder.tree[b"f"], staging)
        staging.drop()
