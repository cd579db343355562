"""Several logs, read as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay_kernel.settings.logs import Logs

if TYPE_CHECKING:
    from pathlib import Path

EARLY = "2026-11-26 20:00:01,500 INFO hub: early\n"
LATE = "2026-11-26 20:00:03,250 late\nTraceback\n  of late\n"
MIDDLE = "2026-11-26 20:00:02 middle\n"


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    path = tmp_path / "hub.log"
    path.write_text(EARLY + LATE)
    return path


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "agent.log"
    path.write_text(MIDDLE)
    return path


def texts(logs: Logs, count: int) -> list[str]:
    return [entry.text for entry in logs.last(count)]


def test_they_are_merged_by_time(hub: Path, agent: Path) -> None:
    """A line without a time stays behind the one that it belongs to."""
    logs = Logs({"hub": hub, "agent": agent})
    found = logs.last(50)
    assert [entry.text for entry in found] == [
        *("INFO hub: early", "middle", "late", "Traceback", "  of late")
    ]
    assert [entry.of for entry in found] == ["hub", "agent", "hub", "hub", "hub"]
    assert found[2].at - found[0].at == pytest.approx(1.75)


@pytest.mark.parametrize(("count", "first"), [(4, "middle"), (1, "  of late")])
def test_the_last_ones(hub: Path, agent: Path, count: int, first: str) -> None:
    found = texts(Logs({"hub": hub, "agent": agent}), count)
    assert (len(found), found[0]) == (count, first)


def test_none_are_wanted(hub: Path) -> None:
    logs = Logs({"hub": hub})
    assert logs.last(0) == logs.new() == []


def test_what_comes_is_told_once_and_whole(hub: Path) -> None:
    logs = Logs({"hub": hub})
    logs.last(1)
    with hub.open("a") as file:
        file.write("2026-11-26 20:00:04,000 half a ")
        file.flush()
        assert logs.new() == []
        file.write("line\n")
    assert [entry.text for entry in logs.new()] == ["half a line"]
    assert logs.new() == []


def test_a_log_that_is_begun_anew(hub: Path) -> None:
    logs = Logs({"hub": hub})
    logs.last(1)
    hub.rename(hub.with_suffix(".log.1"))
    assert logs.new() == []
    hub.write_text(MIDDLE)
    assert [entry.text for entry in logs.new()] == ["middle"]


def test_a_log_that_comes_later(tmp_path: Path) -> None:
    logs = Logs({"files": tmp_path / "files.log"})
    assert logs.last(5) == []
    (tmp_path / "files.log").write_bytes(b"no time\xff\n")
    (entry,) = logs.new()
    assert (entry.text, entry.of) == ("no time\N{REPLACEMENT CHARACTER}", "files")
    assert entry.at > 1e9
