"""Where environments lie at a target: which one counts, and what may be removed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core.blueprint import Blueprint, Package
from relay_kernel.envs.errors import EnvError
from relay_kernel.envs.mirror import Mirror, Note, Record, held, read_record, write_record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path, "mine")


def environment(mirror: Mirror, name: str, *, finished: bool = True) -> Path:
    """One with an interpreter that runs."""
    path = mirror.folder / name
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").symlink_to(sys.executable)
    (path / "pyvenv.cfg").write_text("")
    if finished:
        write_record(path, Record({"argv": ["python"]}, Blueprint("3.11", (Package("six", "1"),))))
    return path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "x" * 200, "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EnvError, match="is no name of a kernelspec"):
        Mirror(tmp_path, name)


def test_only_a_finished_environment_counts(mirror: Mirror) -> None:
    assert mirror.current is None
    half = environment(mirror, "half", finished=False)
    mirror.switch(half)
    assert mirror.current is None
    whole = environment(mirror, "whole")
    mirror.switch(whole)
    assert mirror.current == whole
    record = read_record(whole)
    assert record is not None
    assert record.blueprint.by_name["six"].version == "1"


def test_what_is_left_over_is_removed(mirror: Mirror) -> None:
    old, new = environment(mirror, "old"), environment(mirror, "new")
    partial = environment(mirror, "next.partial", finished=False)
    mirror.switch(new)
    assert mirror.sweep() == ["old"]
    assert new.exists()
    assert not old.exists()
    assert not partial.exists()
    assert mirror.sweep(everything=True) == ["new"]
    assert not mirror.folder.exists()


def test_what_a_process_runs_in_stays(mirror: Mirror) -> None:
    old = environment(mirror, "old")
    mirror.switch(environment(mirror, "new"))
    code = "print('up', flush=True); input()"
    process = subprocess.Popen(
        [old / "bin" / "python", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert mirror.sweep() == []
    process.communicate(b"\n")
    assert mirror.sweep() == ["old"]


def test_what_is_about_to_be_started_stays(mirror: Mirror) -> None:
    old = environment(mirror, "old")
    mirror.switch(old)
    with held(mirror) as chosen:
        assert chosen == old
        mirror.switch(environment(mirror, "new"))
        assert mirror.sweep() == []
    assert mirror.sweep() == ["old"]


def test_a_new_environment_never_takes_the_place_of_one(mirror: Mirror) -> None:
    assert mirror.free("abc").name == "abc"
    environment(mirror, "abc")
    assert mirror.free("abc").name == "abc-2"


def test_a_note_is_kept_until_nothing_is_to_say(mirror: Mirror) -> None:
    assert mirror.note is None
    mirror.write_note(Note("it is being built", blocks=False))
    assert mirror.note == Note("it is being built", blocks=False)
    mirror.write_note(None)
    assert mirror.note is None


def test_a_damaged_record_is_none(mirror: Mirror) -> None:
    path = environment(mirror, "one")
    (path / "relay-env.json").write_text('{"spec": {}, "blueprint": 3}')
    assert read_record(path) is None
