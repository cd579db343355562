"""What both ends had outlives the process, and says so when it was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.tree import Entry, Kind
from relay_kernel.files.base import Base, Recorded
from relay_kernel.files.digest import digest

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = {
    b"caf\xe9": Entry(Kind.FILE, digest(b"x"), 0o640, 1, 123),
    b"d": Entry(Kind.FOLDER, mode=0o755),
    b"d/l": Entry(Kind.LINK, b"../caf\xe9"),
}


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    base = Base(tmp_path / "base.sqlite")
    base.write(ENTRIES)
    assert base.entries == {}
    base.follow(ENTRIES)
    base.write({b"d/l": None})
    base.remember(boot="b", paused="")
    base.add_conflicts([Recorded(b"a", b"a (pc)", 1.0), Recorded(b"b", b"b (pc)", 2.0)])
    assert base.add_conflicts([Recorded(b"a", b"a (pc)", 3.0)]) == []
    base.end_conflicts([b"b (pc)"])
    base.close()
    again = Base(tmp_path / "base.sqlite")
    assert again.entries == {path: e for path, e in ENTRIES.items() if path != b"d/l"}
    found = again.entries[b"caf\xe9"]
    assert (found.size, found.mtime_ns) == (1, 123)
    assert (again.id, again.fact("boot"), again.fact("never")) == (base.id, "b", "")
    assert again.conflicts == [Recorded(b"a", b"a (pc)", 1.0)]
    again.clear()
    again.close()
    assert Base(tmp_path / "base.sqlite").entries == {}


def test_what_was_ordered_is_known_until_it_is_settled(tmp_path: Path) -> None:
    base = Base(tmp_path / "base.sqlite")
    base.order("target", {**ENTRIES, b"gone": None})
    base.order("server", {b"d": None})
    base.write({b"d": None}, settled=[b"gone"])
    base.close()
    again = Base(tmp_path / "base.sqlite")
    left = {path: entry for path, entry in ENTRIES.items() if path != b"d"}
    assert again.orders == {"target": left}
    assert base.orders == {"target": left, "server": {}}
    again.clear()
    again.close()
    assert Base(tmp_path / "base.sqlite").orders == {}


def test_one_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    base = Base(tmp_path / "base.sqlite")
    base.write(ENTRIES)
    base.close()
    (tmp_path / "base.sqlite").write_bytes(b"no database at all" * 100)
    again = Base(tmp_path / "base.sqlite")
    assert (again.damaged, again.entries) == (True, {})
    assert again.id != base.id
    assert (tmp_path / "damaged-base.sqlite").exists()
    again.close()
