"""What a folder holds is found whole, and what is no file is named."""

from __future__ import annotations

import os
import socket
import sqlite3
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core.tree import Kind, parent
from relay_kernel.files import scan
from relay_kernel.files.digest import digest
from relay_kernel.files.index import Trust
from relay_kernel.files.rules import Rules
from tests.files.rig import End, file, folder, link

if TYPE_CHECKING:
    from pathlib import Path

    from relay_kernel.core.tree import Entry


def test_files_folders_and_links_are_told_apart(end: End) -> None:
    (end.root / "a").mkdir(mode=0o750)
    (end.root / "a" / "f").write_bytes(b"text")
    (end.root / "a" / "f").chmod(0o640)
    (end.root / "l").symlink_to("/nowhere/at all")
    found = end.folder.scan()
    assert found == {
        b"a": folder(0o750),
        b"a/f": file(b"text", 0o640),
        b"l": link(b"/nowhere/at all"),
    }
    assert end.folder.tree == found


def test_the_time_and_the_size_of_a_file_travel(end: End) -> None:
    (end.root / "f").write_bytes(b"text")
    os.utime(end.root / "f", ns=(5, 1_234_567_890_123_456_789))
    end.folder.scan()
    entry = end.folder.tree[b"f"]
    assert (entry.size, entry.mtime_ns) == (4, 1_234_567_890_123_456_789)


def test_setuid_is_not_taken(end: End) -> None:
    (end.root / "f").write_bytes(b"x")
    (end.root / "f").chmod(0o4755)
    end.folder.scan()
    assert end.folder.tree[b"f"].mode == 0o755


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"\xff\xfe", b"new\nline", "é".encode(), b"e\xcc\x81"]
)
def test_any_name_is_a_name(end: End, name: bytes) -> None:
    with open(os.fsencode(end.root) + b"/" + name, "wb") as out:
        out.write(b"x")
    assert end.folder.settle(now=True) == {name: file(b"x")}
    assert end.tree() == {name: file(b"x")}


def test_what_is_no_file_is_skipped_by_name(end: End) -> None:
    os.mkfifo(end.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(end.root / "s"))
    assert end.folder.scan() == {}
    assert end.folder.skipped == {b"pipe": "is a pipe", b"s": "is a socket"}
    (end.root / "pipe").unlink()
    end.folder.scan()
    assert end.folder.skipped == {b"s": "is a socket"}


def test_a_long_look_tells_what_it_has_found_so_far(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PART", 4)
    for name in ("a/1", "a/2", "a/b/3", "a/b/4", "a/b/5", "c/6", "c/7", "8"):
        (end.root / name).parent.mkdir(parents=True, exist_ok=True)
        (end.root / name).write_text(name)
    parts: list[dict[bytes, Entry | None]] = []
    end.folder.on_part = parts.append
    parts.append(end.folder.scan())
    assert len(parts) > 2
    told: dict[bytes, Entry | None] = {}
    for part in parts:
        told |= part
        assert all(parent(path) in told for path in part if parent(path))
    assert told == end.folder.tree
    assert sum(map(len, parts)) == len(told) == 11


def test_a_file_that_is_too_large_is_skipped_and_not_gone(tmp_path: Path) -> None:
    with End(tmp_path, Rules(largest=1000)) as end:
        end.write("f", b"x" * 1000)
        (end.root / "f").write_bytes(b"x" * 1001)
        assert end.folder.settle(now=True) == {b"f": None}
        assert end.folder.excluded(b"f") == "is larger than 1000 bytes"
        assert end.folder.skipped == {b"f": "is larger than 1000 bytes"}


def test_what_is_ignored_is_not_looked_at(end: End) -> None:
    end.write("kept/.venv/lib/x.py")
    end.write("kept/y.py")
    assert set(end.folder.tree) == {b"kept", b"kept/y.py"}
    assert end.folder.excluded(b"kept/.venv/lib/x.py") == "is ignored"
    assert end.folder.excluded(b"kept/.venv/gone.py") == "is ignored"
    assert not end.folder.excluded(b"kept/gone.py")


def test_new_rules_hide_what_was_there_without_calling_it_deleted(end: End) -> None:
    end.write("data/a.bin", b"a")
    end.write("b.txt", b"b")
    end.write(".relayignore", "data/\n")
    assert set(end.folder.tree) == {b".relayignore", b"b.txt"}
    assert end.folder.excluded(b"data/a.bin") == "is ignored"
    (end.root / ".relayignore").unlink()
    assert end.folder.settle(now=True)[b"data/a.bin"] == file(b"a")


def test_a_file_with_two_names_is_two_files(end: End) -> None:
    end.write("a", b"one")
    (end.root / "b").hardlink_to(end.root / "a")
    assert end.folder.settle(now=True) == {b"b": file(b"one")}
    (end.root / "b").write_bytes(b"two")
    changed = end.folder.settle(now=True) | end.folder.settle(now=True)
    assert changed == {b"a": file(b"two"), b"b": file(b"two")}


def test_folders_that_lie_too_deep_are_skipped_by_name(end: End) -> None:
    deep = end.root
    fd = os.open(deep, os.O_RDONLY)
    for _ in range(210):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    end.folder.scan()
    assert len(end.folder.tree) == 200
    assert end.folder.skipped == {b"/".join([b"d"] * 201): "lies more than 200 folders deep"}


class TestIndex:
    def test_what_has_not_changed_is_not_read_again(self, end: End) -> None:
        end.write("f", b"one")
        os.utime(end.root / "f", ns=(10**18, 10**18))
        end.folder.settle(now=True)
        end.folder.close()
        with sqlite3.connect(end.state / "index.sqlite") as database:
            database.execute("update files set content = ?", (digest(b"marked"),))
        database.close()
        assert end.reopen().tree == {b"f": file(b"marked")}

    def test_a_change_within_the_same_tick_is_not_missed(self, end: End) -> None:
        for number in range(50):
            data = b"%d" % (number % 10)
            (end.root / "f").write_bytes(data)
            end.folder.settle(now=True)
            (end.root / "f").write_bytes(b"x")
            end.folder.settle(now=True)
            assert end.folder.tree[b"f"] == file(b"x")

    def test_a_change_that_hides_behind_the_old_time_is_seen(self, end: End) -> None:
        (end.root / "f").write_bytes(b"one")
        os.utime(end.root / "f", ns=(10**18, 10**18))
        end.folder.scan()
        (end.root / "f").write_bytes(b"two")
        os.utime(end.root / "f", ns=(10**18, 10**18))
        end.folder.scan()
        assert end.folder.tree[b"f"] == file(b"two")

    def test_after_a_reboot_what_was_new_is_read_again(self, end: End) -> None:
        end.write("f", b"one")
        os.utime(end.root / "f", ns=(10**18, 10**18))
        end.folder.settle(now=True)
        end.folder.close()
        with sqlite3.connect(end.state / "index.sqlite") as database:
            database.execute("update files set content = ?", (digest(b"lost"),))
            database.execute("update meta set value = 'another' where name = 'boot'")
        database.close()
        assert end.reopen().tree == {b"f": file(b"one")}
        assert end.folder.rebooted
        end.reopen()
        assert not end.folder.rebooted

    def test_a_damaged_index_costs_a_look(self, end: End) -> None:
        end.write("f", b"one")
        end.folder.close()
        (end.state / "index.sqlite").write_bytes(b"rubbish" * 1000)
        assert end.reopen().tree == {b"f": file(b"one")}

    def test_a_moved_folder_is_not_read_again(self, end: End) -> None:
        for name in ("a/1", "a/b/2"):
            end.write(name, name)
            os.utime(end.root / name, ns=(10**18, 10**18))
        end.folder.settle(now=True)
        index = end.folder._open_parts.index
        index.rows[b"a/b/2"] = index.rows[b"a/b/2"]._replace(content=digest(b"marked"))
        (end.root / "a").rename(end.root / "z")
        end.folder.settle(now=True)
        assert end.folder.tree[b"z/b/2"] == file(b"marked")
        assert set(end.folder.tree) == {b"z", b"z/1", b"z/b", b"z/b/2"}
        assert index.rows[b"z/1"].trust is Trust.SURE
        assert end.folder.tree[b"z"].kind is Kind.FOLDER
